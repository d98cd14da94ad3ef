from dataclasses import replace

import pytest

from isthmus.bench.planning import queueing
from isthmus.bench.planning.simulation import Demand, Fleet, simulate
from isthmus.devices.cost.table import Seconds

TAKEN = Demand(device_s=0.0, sending_s=0.0, service=Seconds(value=0.01, low=0.01, high=0.01), beside_s=0.0, loop_s=0.0)


def test_one_device_alone_waits_for_nobody():
    taken = replace(TAKEN, device_s=0.005, sending_s=0.002, beside_s=0.02)
    found = simulate(taken, Fleet(devices=1, fps=10), 1)
    assert (found.p50_s, found.p95_s) == pytest.approx((taken.alone_s, taken.alone_s))
    assert (found.queue_p95_s, found.lost_share) == (0, 0)
    assert found.busy_share == pytest.approx(0.1, rel=0.02)


def test_many_rare_devices_wait_as_at_random_arrivals():
    # A thousand cameras of which each sends seldom are a Poisson process: M/D/1 at a load of 0.7.
    found = simulate(TAKEN, Fleet(devices=1000, fps=1, pass_share=0.07), 1)
    assert found.busy_share == pytest.approx(0.7, rel=0.05)
    assert found.queue_p95_s == pytest.approx(queueing.wait(0.01, 0.7).high, rel=0.2)


def test_what_cannot_be_served_is_lost_and_not_queued_for_ever():
    found = simulate(TAKEN, Fleet(devices=20, fps=10), 1)
    assert found.busy_share == pytest.approx(1.0, rel=0.05)
    assert found.lost_share == pytest.approx(0.5, abs=0.05)
    # Three captures of each device are in flight at most, and one more waits there.
    assert found.p95_s < 20 * 4 * 0.01 * 1.2


def test_more_instances_are_never_slower():
    waits = [simulate(TAKEN, Fleet(devices=30, fps=10), instances).p95_s for instances in (3, 4, 6, 12)]
    assert waits == sorted(waits, reverse=True)
