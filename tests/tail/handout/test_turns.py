import asyncio

import pytest

from isthmus.errors import ConfigError, Overloaded
from isthmus.tail.admission.handout import HandoutLimits
from isthmus.tail.handout.turns import Turns


class Time:
    """A clock that only sleeping moves."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now

    async def sleep(self, delay_s):
        self.now += delay_s
        await asyncio.sleep(0)


async def send(turns, order, name, count):
    for _ in range(count):
        await turns.wait(1000)
        order.append(name)


async def test_transfers_share_one_rate_in_equal_parts():
    time = Time()
    order: list[str] = []
    turns = Turns(HandoutLimits(bytes_per_s=1000), burst=1000, clock=time, sleep=time.sleep)
    await asyncio.gather(send(turns, order, "one", 5), send(turns, order, "other", 5))
    assert time.now == pytest.approx(108.0, abs=0.01)
    assert order[3:7].count("one") == 2


async def test_without_a_rate_nobody_waits():
    time = Time()
    turns = Turns(HandoutLimits(bytes_per_s=None), burst=1, clock=time, sleep=time.sleep)
    await send(turns, [], "one", 1000)
    assert time.now == 100.0


def test_places_are_counted_and_given_back():
    turns = Turns(HandoutLimits(transfers=1), burst=1)
    with turns.place(), pytest.raises(Overloaded, match="1 devices fetch bundles just now"), turns.place():
        pass
    with turns.place():
        assert turns.running == 1
    assert turns.running == 0


@pytest.mark.parametrize("wrong", [{"transfers": 0}, {"bytes_per_s": 0.0}, {"bytes_per_s": float("nan")}])
def test_limits_that_cannot_be_are_config_errors(wrong):
    with pytest.raises(ConfigError, match=r"at least 1|has to be above 0"):
        HandoutLimits(**wrong)
