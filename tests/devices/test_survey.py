import dataclasses

import pytest
from tests.devices.test_doctor import MACHINE

from isthmus.devices.profiles import catalog
from isthmus.devices.survey import survey


def named(found):
    return {problem.sensor: problem for problem in found.missing}


def test_a_board_without_a_sensor_is_modelled_and_told_what_it_could_have(tmp_path):
    found = survey(MACHINE, catalog.load("rpi4"), tmp_path)
    assert found.energy.startswith("modelled: 2.7 W idle to 6.4 W busy")
    assert "wire an INA219" in named(found)["hwmon power sensor"].advice
    assert {"temperature", "clocks", "throttling", "pressure"} <= named(found).keys()


def test_a_sensor_that_is_there_is_timed_and_chosen(tree):
    folder = "sys/class/hwmon/hwmon0"
    root = tree(
        {f"{folder}/name": "ina3221", f"{folder}/in1_label": "VDD_IN", f"{folder}/in1_input": 5000, f"{folder}/curr1_input": 1000}
    )
    found = survey(MACHINE, catalog.load("orin-nano"), root, seconds=0.01)
    assert found.energy == "measured: hwmon ina3221 VDD_IN, scope board"
    [(sensor, rate)] = found.sensors
    assert (sensor.read(), rate.reads_hz > 0, found.chosen) == (5.0, True, (sensor,))
    assert {"TensorrtExecutionProvider", "CUDAExecutionProvider"} <= named(found).keys()


def test_a_chip_of_ones_own_measures_the_board_where_the_profile_says_so(tree):
    text = 'name = "porch"\ntitle = "x"\nchecked = "x"\nmatch.architecture = "aarch64"\n[[sensors.power]]\nsource = "hwmon"\n'
    own = catalog.parse(text + 'name = "^ina219"\nscope = "board"\nmissing = "is the overlay loaded?"\n', origin="x")
    root = tree({"sys/class/hwmon/hwmon0/name": "ina219", "sys/class/hwmon/hwmon0/power1_input": 2_000_000})
    assert survey(MACHINE, own, root, seconds=0.01).energy == "measured: hwmon ina219 channel 1, scope board"
    assert survey(MACHINE, catalog.load("arm64"), root, seconds=0.01).energy.startswith("not measured")


@pytest.mark.parametrize(
    ("changes", "profile", "what"),
    [
        ({"onnxruntime": None, "onnxruntime_problem": "SIGILL"}, "arm64", "onnxruntime"),
        ({"architecture": "riscv64"}, None, "profile"),
    ],
)
def test_what_is_missing_is_named(tmp_path, changes, profile, what):
    found = survey(dataclasses.replace(MACHINE, **changes), profile and catalog.load(profile), tmp_path)
    assert named(found)[what].advice
    assert found.energy.startswith("not measured")
