import numpy as np
import pytest

from isthmus.head.control.choice import Choice
from isthmus.head.control.link_belief import LinkBelief
from isthmus.head.control.outlay import Outlay
from isthmus.head.control.worth import Worth, WorthSettings

SMALL = Choice(placement="split", setting="full", accuracy=0.85, size_bytes=3000, device_s=0.001, server_s=0.001)
LARGE = Choice(placement="offload", setting="jpeg-75", accuracy=0.90, size_bytes=10_000, device_s=0.001, server_s=0.001)
LOCAL = Choice(placement="local", setting="local", accuracy=0.70, device_s=0.02)
DEADLINE_S = 0.15


@pytest.fixture
def worth():
    """A function that values choices on a link of 1 Mbit/s and 40 ms, which is well known."""
    belief = LinkBelief()
    for number, size_bytes in enumerate([1000, 8000] * 20):
        belief.sent(number, size_bytes, float(number))
        network_s = 0.04 + 8 * (size_bytes + 180) / 1e6
        belief.answered(number, network_s, number + network_s)

    def make(*choices, **settings):
        outlay = Outlay(choices)
        for choice in choices:
            for _ in range(30):
                outlay.sent(choice, choice.size_bytes)
        return Worth(choices, deadline_s=DEADLINE_S, belief=belief, outlay=outlay, settings=WorthSettings(**settings))

    return make


def test_what_makes_the_next_frame_late_is_worth_less_than_what_does_not(worth):
    valued = worth(SMALL, LARGE)
    chances = valued.chances(DEADLINE_S)
    assert chances[1] > 0.6
    alone = valued.values(chances, 10.0, steps=0)
    following = valued.values(chances, 0.02, steps=0)
    assert following[1] - following[0] < alone[1] - alone[0] - 0.1


def test_the_devices_time_has_a_price_while_it_is_spared(worth):
    valued = worth(SMALL, LOCAL)
    chances = np.ones(2)
    free, dear = (valued.values(chances, 0.04, steps=steps) for steps in (0, 2))
    assert free[1] - dear[1] == pytest.approx(2 * 0.1 * 0.5)
    assert free[0] - dear[0] == pytest.approx(2 * 0.1 * 0.025)


def test_with_a_standby_a_late_answer_is_worth_the_devices_own_and_costs_its_time(worth):
    without, with_it = worth(SMALL, LOCAL), worth(SMALL, LOCAL, standby=True)
    late = np.zeros(2)
    assert with_it.values(late, 10.0, steps=0)[0] - without.values(late, 10.0, steps=0)[0] == pytest.approx(0.7, abs=0.1)
    assert with_it.values(late, 0.04, steps=1)[0] < with_it.values(late, 0.04, steps=0)[0] - 0.05
