import pytest

from isthmus.devices.cost import footprint
from isthmus.errors import DeviceError


def test_a_network_takes_some_memory(tiny_bundle):
    assert 0 <= footprint.measure(tiny_bundle.path("whole.onnx")) < 200 * 10**6


def test_a_file_that_is_no_network_is_a_device_error(tmp_path):
    (tmp_path / "x.onnx").write_bytes(b"nothing")
    with pytest.raises(DeviceError, match="in a process of its own failed"):
        footprint.measure(tmp_path / "x.onnx")


def test_one_that_hangs_is_given_up(tiny_bundle, monkeypatch):
    monkeypatch.setattr(footprint, "_TIMEOUT_S", 0.01)
    with pytest.raises(DeviceError, match="longer than 0"):
        footprint.measure(tiny_bundle.path("whole.onnx"))
