import dataclasses
import itertools

import numpy as np
import pytest

from isthmus.bench import energy
from isthmus.bench.energy import DEVICE_ONLY, SHARED, Metering
from isthmus.devices.energy.quantity import Energy
from isthmus.devices.profiles import catalog
from isthmus.devices.sensors.power import PowerSensor
from isthmus.errors import DeviceError, TailUnavailable

FRAMES = [np.zeros((2, 2, 3), np.uint8), np.ones((2, 2, 3), np.uint8)]
QUICK = {"block_s": 0.2, "idle_s": 0.1}


def counter(read=None):
    values = itertools.count()
    return PowerSensor(
        source="rapl",
        name="package-0",
        scope="package",
        quantity="energy",
        read=read or (lambda: next(values) / 1000),
        rate_max_hz=1000.0,
        wraps_j=65_000.0,
    )


def measured(works, metering, sends=(False, True)):
    return energy.measure(works, FRAMES, metering, sends=sends)


def test_each_cell_gets_the_energy_of_a_frame_above_idle():
    metering = Metering(sensors=(counter(),), **QUICK)
    alone, shared = measured([lambda _frame: None, lambda _frame: None], metering)
    assert (alone.kind, alone.inferences, alone.scope) == ("measured", 1, "package")
    assert alone.joules > 0
    assert alone.above_idle_doubt_j is not None
    assert (SHARED in alone.note, SHARED in shared.note) == (False, True)


def test_the_frames_take_turns():
    seen = []
    metering = Metering(profile=catalog.load("rpi4"), block_s=0.0)
    measured([lambda frame: seen.append(int(frame.max()))] * 2, metering)
    assert seen == [0, 0]
    measured([lambda frame: seen.append(int(frame.max()))], dataclasses.replace(metering, block_s=0.02), sends=(False,))
    assert set(seen) == {0, 1}


def test_a_board_without_a_sensor_is_modelled_and_says_whose_time_that_is():
    [found] = measured([lambda _frame: None], Metering(profile=catalog.load("rpi4"), block_s=0.05), sends=(True,))
    assert (found.kind, found.source) == ("modelled", "power model of profile rpi4")
    assert DEVICE_ONLY in found.note


def refused():
    raise DeviceError("asleep")


def failing(_frame):
    raise TailUnavailable("the server is gone")


def late(_frame):
    raise TimeoutError


def test_a_sensor_that_refuses_leaves_words_and_no_number():
    [found] = measured([lambda _frame: None], Metering(sensors=(counter(refused),), **QUICK), sends=(False,))
    assert isinstance(found, DeviceError)


def test_a_cell_whose_server_is_gone_leaves_the_others_theirs():
    found = measured([failing, late, lambda _frame: None], Metering(sensors=(counter(),), **QUICK), sends=(True, True, False))
    assert [str(one) for one in found[:2]] == ["the server is gone", "no answer came in time"]
    assert isinstance(found[2], Energy)


@pytest.mark.parametrize(
    ("device", "possible", "words"),
    [("rpi4", True, "modelled by the profile rpi4"), ("x86-64", False, "not measured: no power sensor here")],
)
def test_a_tree_without_sensors_is_modelled_or_not_measured(tmp_path, device, possible, words):
    metering = energy.here(device, tmp_path)
    assert metering.is_possible is possible
    assert metering.words.startswith(words)


def test_a_counter_that_cannot_be_read_is_why_nothing_is_measured(tmp_path):
    zone = tmp_path / "sys/class/powercap/intel-rapl:0"
    zone.mkdir(parents=True)
    (zone / "max_energy_range_uj").write_text("lots")
    assert "'lots', which is no number" in energy.here("x86-64", tmp_path).words
