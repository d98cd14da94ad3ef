import os
import platform
from pathlib import Path

import pytest

from isthmus.devices.detect import Library, detect, probe
from isthmus.errors import DeviceError

PI_CORE = "processor\t: {}\nBogoMIPS\t: 108.00\nCPU implementer\t: 0x41\nCPU part\t: 0xd0b\n\n"


@pytest.fixture
def raspberry(tmp_path: Path) -> Path:
    files = {
        "proc/cpuinfo": "".join(PI_CORE.format(core) for core in range(4)) + "Model\t\t: Raspberry Pi 5\n",
        "proc/meminfo": "MemTotal:        8257456 kB\nMemFree:         100 kB\n",
        "proc/device-tree/model": "Raspberry Pi 5 Model B Rev 1.0\0",
        "proc/sys/kernel/osrelease": "6.6.31+rpt-rpi-2712\n",
        "etc/os-release": 'NAME="Debian GNU/Linux"\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n',
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def test_a_raspberry_pi_is_recognised(raspberry):
    machine = detect(raspberry)
    assert (machine.board, machine.cpu_model, machine.cores) == ("Raspberry Pi 5 Model B Rev 1.0", "Cortex-A76", 4)
    assert machine.memory_bytes == 8257456 * 1024
    assert (machine.operating_system, machine.kernel) == ("Debian GNU/Linux 12 (bookworm)", "6.6.31+rpt-rpi-2712")


def test_a_machine_without_a_device_tree_has_no_board(raspberry):
    (raspberry / "proc/device-tree/model").unlink()
    (raspberry / "proc/cpuinfo").write_text("processor: 0\nmodel name: AMD EPYC\nprocessor: 1\nmodel name: other\n")
    machine = detect(raspberry)
    assert (machine.board, machine.cpu_model, machine.cores) == (None, "AMD EPYC", 2)


def test_unknown_arm_parts_keep_their_number(raspberry):
    (raspberry / "proc/cpuinfo").write_text("processor: 0\nCPU implementer: 0x41\nCPU part: 0xfff\n")
    assert detect(raspberry).cpu_model == "Arm part 0xfff"


def test_os_release_has_a_second_place(raspberry):
    (raspberry / "usr/lib").mkdir(parents=True)
    (raspberry / "etc/os-release").rename(raspberry / "usr/lib/os-release")
    assert detect(raspberry).operating_system == "Debian GNU/Linux 12 (bookworm)"


def test_facts_that_are_optional_may_be_missing(raspberry):
    (raspberry / "etc/os-release").unlink()
    (raspberry / "proc/sys/kernel/osrelease").unlink()
    assert (detect(raspberry).operating_system, detect(raspberry).kernel) == ("unknown", "unknown")


@pytest.mark.parametrize("name", ["cpuinfo", "meminfo"])
def test_a_tree_that_is_not_linux_is_a_device_error(raspberry, name):
    (raspberry / "proc" / name).unlink()
    with pytest.raises(DeviceError, match=name):
        detect(raspberry)


def test_memory_without_a_number_is_a_device_error(raspberry):
    (raspberry / "proc/meminfo").write_text("MemTotal: lots\n")
    with pytest.raises(DeviceError, match="lots"):
        detect(raspberry)


def test_this_machine_has_what_this_process_may_use():
    onnxruntime = pytest.importorskip("onnxruntime")
    machine = detect()
    assert machine.cores == len(os.sched_getaffinity(0))
    assert (machine.architecture, machine.python) == (platform.machine(), platform.python_version())
    assert (machine.onnxruntime, machine.onnxruntime_problem) == (onnxruntime.__version__, None)
    assert machine.onnxruntime_providers == tuple(onnxruntime.get_available_providers())


def test_probe_reports_what_a_library_prints():
    program = """print('noise'); print('{"version": "1.2", "providers": ["a", "b"]}')"""
    assert probe(program) == Library(version="1.2", providers=("a", "b"))


def test_a_library_that_is_not_installed_is_no_problem():
    assert probe("import no_such_library_here") == Library(version=None)


@pytest.mark.parametrize(
    ("program", "problem"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGILL)", "SIGILL"),
        ("raise ImportError('libcudart.so.12 is missing')", "libcudart.so.12 is missing"),
        ("raise SystemExit(3)", "no message"),
    ],
)
def test_a_library_that_does_not_start_is_unusable_and_says_why(program, problem):
    library = probe(program)
    assert library.version is None
    assert problem in (library.problem or "")


def test_a_library_that_hangs_is_given_up():
    assert probe("import time; time.sleep(600)", timeout_s=0.2).problem == "import took longer than 0.2 s"
