import math

import pytest

from isthmus.bench.planning import queueing
from isthmus.errors import UsageError


def test_nobody_waits_for_an_idle_server():
    assert queueing.wait(0.01, 0.0).high == 0


def test_waits_grow_with_the_load_and_shrink_with_instances_at_the_same_load():
    waits = [queueing.wait(0.01, load).high for load in (0.1, 0.5, 0.9)]
    assert waits == sorted(waits)
    assert queueing.wait(0.01, 0.9, instances=4).value < queueing.wait(0.01, 0.9).value


def erlang(wait, load):
    """Share that waits less in M/D/1, in units of the service time (Erlang 1909)."""
    terms = ((load * (k - wait)) ** k / math.factorial(k) * math.exp(-load * (k - wait)) for k in range(math.floor(wait) + 1))
    return (1 - load) * sum(terms)


@pytest.mark.parametrize("load", [0.3, 0.5, 0.8])
def test_waits_for_a_single_worker_are_those_of_erlang(load):
    found = queueing.wait(1.0, load)
    assert erlang(found.high, load) == pytest.approx(0.95, abs=0.01)
    assert found.value == 0 or erlang(found.value, load) == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("load", [-0.1, 1.0, 2.0])
def test_a_load_without_room_is_refused(load):
    with pytest.raises(UsageError, match="leaves no room"):
        queueing.wait(0.01, load)
