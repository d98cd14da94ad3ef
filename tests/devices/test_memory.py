import os

import pytest

from isthmus.devices.memory import peak_resident_bytes, resident_bytes
from isthmus.errors import DeviceError


def write_status(root, pid, text):
    folder = root / "proc" / str(pid)
    folder.mkdir(parents=True)
    (folder / "status").write_text(text)


def test_kibibytes_become_bytes(tmp_path):
    write_status(tmp_path, 7, "Name:\thead\nVmHWM:\t    200 kB\nVmRSS:\t     100 kB\n")
    assert resident_bytes(7, root=tmp_path) == 102_400
    assert peak_resident_bytes(7, root=tmp_path) == 204_800


def test_this_process_is_the_one_meant_without_a_pid():
    block = bytearray(64 * 1024 * 1024)
    block[::4096] = b"x" * len(block[::4096])
    assert peak_resident_bytes() >= resident_bytes() - 1_048_576 > len(block)


def test_pid_names_the_process():
    assert resident_bytes(os.getpid()) > 1_000_000


def test_missing_process_is_a_device_error(tmp_path):
    with pytest.raises(DeviceError, match="/proc/99/status"):
        resident_bytes(99, root=tmp_path)


@pytest.mark.parametrize("text", ["Name:\tkthreadd\n", "VmRSS:\t many\n", "VmRSS:\t 5 MB\n", "VmRSS:\t -5 kB\n"])
def test_status_without_a_size_is_a_device_error(tmp_path, text):
    write_status(tmp_path, 2, text)
    with pytest.raises(DeviceError, match="VmRSS"):
        resident_bytes(2, root=tmp_path)
