import pytest

from isthmus.devices.energy.model import modelled
from isthmus.devices.profiles import catalog


@pytest.mark.parametrize(("cpu_s", "watts"), [(0.0, 2.7), (4.0, 2.7 + (6.4 - 2.7) / 4), (16.0, 6.4), (20.0, 6.4)])
def test_power_rises_in_a_straight_line_with_the_share_of_busy_cores(cpu_s, watts):
    found = modelled(catalog.load("rpi4"), duration_s=4.0, cpu_s=cpu_s, cores=4)
    assert found.watts == pytest.approx(watts)
    assert found.above_idle_j == pytest.approx((watts - 2.7) * 4)


def test_what_is_modelled_says_so_and_carries_its_source():
    found = modelled(catalog.load("rpi4"), duration_s=1.0, cpu_s=1.0, cores=4).per_inference(10)
    assert (found.kind, found.source, found.doubt_j) == ("modelled", "power model of profile rpi4", None)
    assert "one board of somebody else" in found.note


def test_a_profile_without_a_model_gives_nothing():
    assert modelled(catalog.load("x86-64"), duration_s=1.0, cpu_s=1.0, cores=4) is None
