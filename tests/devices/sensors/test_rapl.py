import pytest

from isthmus.devices.sensors import file, rapl
from isthmus.errors import DeviceError

FOLDER = "sys/class/powercap"
RANGE_UJ = 262_143_328_850


def zone(name, kind, energy_uj, range_uj=RANGE_UJ):
    folder = f"{FOLDER}/{name}"
    return {f"{folder}/name": kind, f"{folder}/energy_uj": energy_uj, f"{folder}/max_energy_range_uj": range_uj}


def test_packages_are_told_from_their_parts_and_from_the_platform(tree):
    files = zone("intel-rapl:0", "package-0", 5_000_000) | zone("intel-rapl:0:0", "core", 1) | zone("intel-rapl:1", "psys", 1)
    found = rapl.find(tree(files | zone("intel-rapl-mmio:0", "package-0", 7)))
    assert [(sensor.name, sensor.scope) for sensor in found.sensors] == [
        ("package-0", "package"),
        ("core", "part"),
        ("psys", "board"),
    ]
    assert (found.sensors[0].read(), found.sensors[0].wraps_j, found.problems) == (5.0, RANGE_UJ / 1e6, ())


def test_a_counter_that_only_root_reads_is_a_problem_that_says_so(tree, monkeypatch):
    def refuse(path):
        if path.name == "energy_uj":
            raise DeviceError("energy_uj may not be read by this user") from PermissionError()
        return RANGE_UJ

    monkeypatch.setattr(file, "read_number", refuse)
    found = rapl.find(tree(zone("intel-rapl:0", "package-0", 1)))
    assert found.sensors == ()
    assert [(problem.sensor, "run as root" in problem.advice) for problem in found.problems] == [("rapl package-0", True)]


@pytest.mark.parametrize(("energy", "range_uj"), [("lots", RANGE_UJ), (1, "no"), (1, 0), (b"\xff", RANGE_UJ)])
def test_garbage_is_a_problem_and_no_sensor(tree, energy, range_uj):
    found = rapl.find(tree(zone("intel-rapl:0", "package-0", energy, range_uj)))
    assert (len(found.sensors), len(found.problems)) == (0, 1)


def test_a_zone_that_vanishes_while_it_is_read_is_a_device_error(tree):
    root = tree(zone("intel-rapl:0", "package-0", 1))
    [sensor] = rapl.find(root).sensors
    (root / FOLDER / "intel-rapl:0/energy_uj").unlink()
    with pytest.raises(DeviceError, match="is not there"):
        sensor.read()
    assert rapl.find(root).sensors == ()


def test_a_zone_that_is_plugged_in_is_found_at_the_next_look(tree):
    root = tree({"sys/class/other": 1})
    assert rapl.find(root).sensors == ()
    assert len(rapl.find(tree(zone("intel-rapl:0", "package-0", 1))).sensors) == 1
