import pytest

from isthmus.bench import scenario
from isthmus.bench.scenario import Scenario
from isthmus.errors import UsageError


@pytest.mark.parametrize(
    ("name", "rate", "streams", "words"),
    [
        ("sleepy", None, 1, "none of single-stream"),
        ("server", None, 1, "needs --rate"),
        ("offline", 5.0, 1, "--rate is for --scenario server"),
        ("single-stream", None, 2, "single-stream has one"),
        ("multi-stream", None, 1, "needs --streams"),
    ],
)
def test_a_mistake_is_told(name, rate, streams, words):
    with pytest.raises(UsageError, match=words):
        scenario.parse(name, rate_per_s=rate, streams=streams)


def test_a_scenario_is_read():
    assert scenario.parse("server", rate_per_s=20.0, streams=2) == Scenario(name="server", rate_per_s=20.0, streams=2)
    assert scenario.parse("single-stream", rate_per_s=None, streams=1).takes_turns
