import pytest

from isthmus.errors import ConfigError
from isthmus.tail.admission.limits import ClientLimits


@pytest.mark.parametrize("name", ["rate_per_s", "burst", "bytes_per_s", "streams", "in_flight"])
@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf")])
def test_a_limit_has_to_be_above_nothing(name, value):
    with pytest.raises(ConfigError, match=f"the limit {name} of a client is {value:g}"):
        ClientLimits(**{"rate_per_s": 1.0, name: value})


def test_a_burst_without_a_rate_says_nothing():
    with pytest.raises(ConfigError, match="a burst of 5 is allowed without a rate"):
        ClientLimits(burst=5)


@pytest.mark.parametrize(("rate", "burst"), [(0.5, 1), (1, 1), (30, 30)])
def test_the_burst_is_a_second_of_the_rate_unless_told(rate, burst):
    assert ClientLimits(rate_per_s=rate).burst_captures == burst
    assert ClientLimits(rate_per_s=rate, burst=7).burst_captures == 7
