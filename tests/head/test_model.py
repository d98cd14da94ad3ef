import dataclasses

import numpy as np
import pytest

from isthmus.contract.prepare import prepare
from isthmus.devices.runtime import Network
from isthmus.errors import BundleError, ConfigError, IsthmusError
from isthmus.head.model import DeviceModel, local_network


def changed(bundle, **fields):
    """The bundle with other words in its manifest."""
    return dataclasses.replace(bundle, manifest=bundle.manifest.model_copy(update=fields))


def test_a_picture_is_prepared_and_computed_without_its_batch_axis(tiny_bundle, picture):
    computed = DeviceModel(tiny_bundle, "head.onnx").compute(picture)
    image = prepare(picture, tiny_bundle.manifest.preparation)
    expected = Network.load(tiny_bundle.path("head.onnx"), threads=1).run({"image": image})["codes"][0]
    (codes,) = computed.arrays
    np.testing.assert_array_equal(codes, expected)
    assert codes.dtype == np.int8
    assert computed.prepare_s >= 0
    assert computed.compute_s >= 0


@pytest.mark.parametrize("shape", [(1, 1, 3), (7, 300, 3), (480, 640, 3)], ids=str)
def test_pictures_of_any_size_are_taken(tiny_bundle, shape):
    (codes,) = DeviceModel(tiny_bundle, "head.onnx").compute(np.full(shape, 200, np.uint8)).arrays
    assert codes.shape == (4, 4, 4)


def test_output_names_are_those_of_the_network(tiny_bundle):
    assert DeviceModel(tiny_bundle, "head.onnx").output_names == ["codes"]
    assert DeviceModel(tiny_bundle, "whole.onnx").output_names == ["scores"]


def test_a_bundle_that_does_not_say_how_to_prepare_is_refused(tiny_bundle):
    with pytest.raises(ConfigError, match="--preprocess"):
        DeviceModel(changed(tiny_bundle, preparation=None), "head.onnx")


def test_a_network_that_the_bundle_lacks_is_an_error(make_tiny_bundle):
    with pytest.raises(BundleError, match=r"whole\.onnx"):
        DeviceModel(make_tiny_bundle(without=("whole.onnx",)), "whole.onnx")


def test_the_unsplit_network_answers_where_there_is_no_local_one(tiny_bundle):
    assert local_network(tiny_bundle) == "whole.onnx"


def test_a_bundle_without_any_whole_network_says_what_it_holds(make_tiny_bundle):
    with pytest.raises(IsthmusError, match=r"local\.onnx or whole\.onnx.*head\.onnx"):
        local_network(make_tiny_bundle(without=("whole.onnx",)))
