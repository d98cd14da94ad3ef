"""The golden outputs of `local.onnx`."""

import dataclasses

import pytest

from isthmus.devices import golden
from isthmus.devices.runtime import Network
from isthmus.errors import BundleError


@pytest.fixture
def bundle(make_tiny_bundle):
    return make_tiny_bundle(local=True)


def test_the_network_of_the_device_has_golden_outputs_of_its_own(bundle):
    frames = golden.read(bundle)
    assert frames.local_outputs.keys() == {"scores"}
    assert golden.check_local(bundle, frames, Network.of_bundle(bundle, golden.LOCAL)).value == 0
    assert frames.arrays().keys() >= {"local_scores", "outputs_scores"}


def test_a_bundle_without_it_has_none(tiny_bundle):
    assert golden.read(tiny_bundle).local_outputs == {}


def test_another_network_in_its_place_is_found(bundle):
    with pytest.raises(BundleError, match="fails the gate 'local outputs' here"):
        golden.check_local(bundle, golden.read(bundle), Network.of_bundle(bundle, "whole.onnx"))


def test_outputs_may_be_off_by_what_the_manifest_allows(bundle):
    local = bundle.manifest.local.model_copy(update={"output_error_max": 1e6})
    lenient = dataclasses.replace(bundle, manifest=bundle.manifest.model_copy(update={"local": local}))
    assert golden.check_local(lenient, golden.read(lenient), Network.of_bundle(lenient, "whole.onnx")).limit == 1e6


def test_golden_frames_without_it_are_refused(bundle, tiny_bundle):
    mixed = dataclasses.replace(tiny_bundle, manifest=bundle.manifest)
    with pytest.raises(BundleError, match="lacks local_scores; export the bundle again"):
        golden.read(mixed)
