import math

import pytest

from isthmus.bench.planning import candidates, fleet
from isthmus.bench.planning.forecast import Setting
from isthmus.bench.planning.simulation import Fleet, simulate
from isthmus.devices import link as links


@pytest.fixture
def split(tiny_bundle, make_known):
    found = candidates.candidates(tiny_bundle, *make_known(tiny_bundle))
    return next(one for one in found if one.name == "split all")


def test_the_smallest_server_that_keeps_the_wish_is_found(split):
    setting, wish = Setting(link=links.parse("5mbit/20ms")), Fleet(devices=200, fps=10, p95_s=0.06)
    sized = fleet.size(split, setting, wish)
    assert sized.outcome.p95_s <= 0.06
    fewer = simulate(fleet.demand(split, setting), wish, sized.outcome.instances - 1)
    assert fewer.p95_s > 0.06 or fewer.lost_share > fleet.LOST_MAX
    # 2000 frames a second of 5 ms each keep ten instances busy; loops take cores too.
    assert sized.outcome.instances >= 10
    assert sized.cores > sized.outcome.instances


def test_a_wish_that_no_server_can_keep_is_none(split):
    sized = fleet.size(split, Setting(link=links.parse("5mbit/100ms")), Fleet(devices=5, fps=10, p95_s=0.05))
    assert (sized.outcome, sized.cores) == (None, None)
    assert sized.as_json()["instances"] is None


def test_without_a_wish_half_as_much_again_as_alone_is_taken(split):
    setting = Setting(link=links.parse("5mbit/20ms"))
    sized = fleet.size(split, setting, Fleet(devices=3, fps=5))
    assert sized.wanted_s == pytest.approx(1.5 * fleet.demand(split, setting).alone_s)
    assert math.isfinite(sized.outcome.p95_s)
