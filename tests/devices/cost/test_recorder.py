from statistics import median

import numpy as np
import pytest

from isthmus.devices import golden
from isthmus.devices.cost import footprint
from isthmus.devices.cost.recorder import time_network
from isthmus.errors import BundleError, DeviceError


def feeds(bundle):
    return {bundle.manifest.input.name: golden.read(bundle).inputs[:1]}


def test_kernels_take_together_what_the_network_takes(tiny_bundle):
    timed = time_network(tiny_bundle, "whole.onnx", feeds(tiny_bundle), runs=5)
    assert len(timed.seconds) == 5
    assert sum(kernel.seconds for kernel in timed.kernels) == pytest.approx(median(timed.seconds))
    assert any(kernel.flops for kernel in timed.kernels)
    assert timed.resident_bytes is not None


def test_a_network_whose_memory_cannot_be_told_is_timed_all_the_same(tiny_bundle, monkeypatch):
    def fails(_path):
        raise DeviceError("no")

    monkeypatch.setattr(footprint, "measure", fails)
    assert time_network(tiny_bundle, "head.onnx", feeds(tiny_bundle), runs=1).resident_bytes is None


def test_feeds_that_do_not_fit_are_a_bundle_error(tiny_bundle):
    with pytest.raises(BundleError, match="takes inputs"):
        time_network(tiny_bundle, "head.onnx", {"x": np.zeros(1)}, runs=1)
