from dataclasses import replace

import pytest

from isthmus.bench.planning import candidates
from isthmus.bench.planning.forecast import TOO_LONG, Setting, forecast
from isthmus.devices import link as links
from isthmus.devices.profiles import catalog


@pytest.fixture
def offered(tiny_bundle, make_known):
    return {one.name: one for one in candidates.candidates(tiny_bundle, *make_known(tiny_bundle))}


def over(text, **more):
    return Setting(link=links.parse(text), profile=catalog.load("rpi4"), **more)


def test_stages_are_those_of_a_measurement_and_add_up(offered):
    found = forecast(offered["split all"], over("1mbit/20ms"))
    assert " ".join(found.stages) == "prepare head encode network server queue server decode server compute server post"
    assert found.latency.value == pytest.approx(sum(spent.value for spent in found.stages.values()))
    row, answer = found.row(), Setting(link=links.parse("unlimited")).answer_bytes
    assert (row.placement, row.point, row.link, row.frames) == ("split", "all", "1mbit/20ms", 0)
    assert row.latency_ms.p50 == pytest.approx(1e3 * found.latency.value)
    assert row.stages_ms["network"] == pytest.approx(20 + 0.55 + (0.9 * 420 + 60 + answer) * 8 / 1e3)


def test_what_sends_nothing_is_the_same_on_every_link(offered):
    one, other = (forecast(offered["local whole"], over(text)) for text in ("1mbit/20ms", "9kbit/1s"))
    assert one == other
    assert (one.link, one.wire_bytes) == (None, 0)


def test_a_busy_server_lets_frames_wait_in_proportion_to_their_own_time(offered):
    idle, busy = (forecast(offered["split all"], over("1mbit/20ms", load=load)) for load in (0.0, 0.9))
    assert busy.stages["server queue"].value > idle.stages["server queue"].value + 2 * idle.server_s
    assert busy.stages["network"] == idle.stages["network"]


def test_energy_is_what_a_core_takes_above_idle_while_the_device_computes(offered):
    energy = forecast(offered["split all"], over("1mbit/20ms")).energy
    power = catalog.load("rpi4").power
    assert energy["above_idle"] == pytest.approx((power.busy_w - power.idle_w) / 4 * 4.5e-3)
    assert (energy["kind"], energy["above_idle_low"] < energy["above_idle"] < energy["above_idle_high"]) == ("modelled", True)


def test_a_device_without_a_power_model_has_no_energy(offered):
    setting = replace(over("1mbit/20ms"), profile=catalog.load("x86-64"))
    assert forecast(offered["split all"], setting).energy is None


def test_what_takes_longer_to_send_than_the_stream_lives_is_marked(offered):
    assert forecast(offered["offload jpeg-75"], over("10kbit/20ms")).marks == (TOO_LONG,)
    assert forecast(offered["split all"], over("10kbit/20ms")).is_possible
