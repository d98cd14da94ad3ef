import sys

import pytest

from isthmus.devices.cost import speed
from isthmus.errors import DeviceError


def test_one_core_multiplies_and_moves():
    found = speed.measure()
    assert 1e8 < found.flops_per_s < 1e13
    assert 1e8 < found.bytes_per_s < 1e13


def test_a_process_that_fails_is_a_device_error(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(DeviceError, match="could not be measured"):
        speed.measure()
