import dataclasses

import pytest

from isthmus.devices import clock
from isthmus.devices.detect import Machine
from isthmus.devices.doctor import examine_machine

MACHINE = Machine(
    architecture="aarch64",
    cpu_model="Cortex-A76",
    board="Raspberry Pi 5",
    cores=4,
    memory_bytes=4 * 10**9,
    operating_system="Debian",
    kernel="6.6",
    python="3.11.2",
    onnxruntime="1.30.0",
    onnxruntime_providers=("CPUExecutionProvider",),
    onnxruntime_problem=None,
    opencv="4.12.0",
)


@pytest.fixture
def examine(tmp_path, monkeypatch):
    """A function that gives findings by name, for a machine with some fields changed."""
    monkeypatch.setattr(clock, "is_synchronised", lambda: True)

    def run(**changes):
        findings = examine_machine(dataclasses.replace(MACHINE, **changes), folder=tmp_path, root=tmp_path)
        return {finding.check: finding for finding in findings}

    return run


def test_a_machine_that_has_everything_is_fit(examine):
    assert {finding.verdict for name, finding in examine().items() if name != "codec core"} == {"ok"}


@pytest.mark.parametrize(
    ("changes", "check", "verdict", "words"),
    [
        ({"onnxruntime": None, "onnxruntime_problem": "import was killed by SIGILL"}, "onnxruntime", "fail", "SIGILL"),
        ({"onnxruntime": None}, "onnxruntime", "fail", "not installed"),
        ({"opencv": None}, "opencv", "fail", "not installed"),
        ({"memory_bytes": 2 * 10**8}, "memory", "warn", "200 MB"),
    ],
)
def test_what_is_missing_is_told_with_advice(examine, changes, check, verdict, words):
    finding = examine(**changes)[check]
    assert (finding.verdict, bool(finding.advice)) == (verdict, True)
    assert words in finding.found
    assert finding.exit_code == (1 if verdict == "fail" else 0)


@pytest.mark.parametrize("state", [False, None])
def test_a_clock_that_may_be_wrong_is_a_warning(examine, monkeypatch, state):
    monkeypatch.setattr(clock, "is_synchronised", lambda: state)
    assert examine()["clock"].verdict == "warn"


def test_heat_and_the_cameras_of_a_tree_are_seen(examine, tmp_path):
    zone = tmp_path / "sys/class/thermal/thermal_zone0"
    zone.mkdir(parents=True)
    (zone / "temp").write_text("81000")
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev/video0").touch()
    found = examine()
    assert (found["temperature"].verdict, found["temperature"].found) == ("warn", "81 degrees")
    assert found["cameras"].found == "video0"


@pytest.mark.parametrize(("word", "verdict"), [("0x0", "ok"), ("0x50000", "warn"), ("0x1", "warn")])
def test_a_board_that_was_slowed_by_its_supply_is_a_warning(examine, tmp_path, word, verdict):
    path = tmp_path / "sys/devices/platform/soc/soc:firmware/get_throttled"
    path.parent.mkdir(parents=True)
    path.write_text(word)
    found = examine()["throttling"]
    assert (found.verdict, "under-voltage" in found.found, bool(found.advice)) == (verdict, verdict == "warn", verdict == "warn")


def test_a_folder_that_is_not_there_is_a_failure(tmp_path):
    findings = {finding.check: finding for finding in examine_machine(MACHINE, folder=tmp_path / "none")}
    assert findings["disk"].verdict == "fail"
