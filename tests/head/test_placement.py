import dataclasses

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.codec.codec import Codec
from isthmus.contract.boundary import Boundary, CodeTensor
from isthmus.contract.picture import decode_picture
from isthmus.contract.prepare import Preparation
from isthmus.devices.runtime import Network
from isthmus.errors import ConfigError, ContractMismatch
from isthmus.head.model import DeviceModel
from isthmus.head.placement import Local, Offload, Split, parse_offload


@pytest.mark.parametrize(("point", "name", "channels"), [(0, "all", 4), (1, "half", 2)])
def test_split_packs_the_codes_of_the_head_at_its_point(tiny_bundle, picture, point, name, channels):
    split = Split(tiny_bundle, point=point)
    outgoing = split.pack(picture)
    manifest = tiny_bundle.manifest
    (sent,) = Codec(manifest.boundary, manifest.points).decode(outgoing.capture.codes, point=point)
    (computed,) = DeviceModel(tiny_bundle, "head.onnx").compute(picture).arrays
    np.testing.assert_array_equal(sent[:channels], computed[:channels])
    assert outgoing.capture.point == point
    assert outgoing.payload_bytes == len(outgoing.capture.codes)
    assert list(outgoing.stages_s) == ["prepare", "head", "encode"]
    assert split.setting == name


@pytest.mark.parametrize(("int8", "file"), [(True, "head.int8.onnx"), (False, "head.onnx")])
def test_split_runs_the_int8_head_unless_the_float_one_is_wanted(make_tiny_bundle, picture, int8, file):
    bundle = make_tiny_bundle(int8=True)
    (sent,) = Codec(bundle.manifest.boundary, bundle.manifest.points).decode(Split(bundle, int8=int8).pack(picture).capture.codes)
    np.testing.assert_array_equal(sent, DeviceModel(bundle, file).compute(picture).arrays[0])


@pytest.mark.parametrize("point", [-1, 2])
def test_a_point_that_the_bundle_lacks_is_refused(tiny_bundle, point):
    with pytest.raises(ConfigError, match=f"point {point} "):
        Split(tiny_bundle, point=point)


def test_a_head_that_gives_other_tensors_than_the_boundary_is_refused(tiny_bundle):
    boundary = Boundary(tensors=(CodeTensor(name="other", shape=(4, 4, 4), bits=4),))
    manifest = tiny_bundle.manifest.model_copy(update={"boundary": boundary})
    with pytest.raises(ContractMismatch, match="gives codes, the boundary is other"):
        Split(dataclasses.replace(tiny_bundle, manifest=manifest))


@pytest.mark.parametrize("format_name", ["jpeg", "webp"])
def test_offload_packs_the_picture_itself(picture, format_name):
    outgoing = Offload(format_name, 90).pack(picture)
    sent = outgoing.capture.picture
    assert sent.format == format_name
    assert decode_picture(sent.data, sent.format, pixels_max=32 * 32).shape == picture.shape
    assert outgoing.payload_bytes == len(sent.data)


def test_local_gives_what_the_whole_network_gives(tiny_bundle, picture):
    local = Local(tiny_bundle)
    answer = local.answer(picture)
    model = DeviceModel(tiny_bundle, "whole.onnx")
    np.testing.assert_array_equal(answer.outputs["scores"], model.compute(picture).arrays[0][np.newaxis])
    assert answer.outputs["scores"].shape == (1, 5)
    assert local.setting == "whole"


def test_split_and_local_agree_through_the_tail(tiny_bundle, picture):
    manifest = tiny_bundle.manifest
    payload = Split(tiny_bundle).pack(picture).capture.codes
    (codes,) = Codec(manifest.boundary, manifest.points).decode(payload)
    scores = Network.load(tiny_bundle.path("tail.onnx"), threads=1).run({"codes": codes[np.newaxis]})["scores"]
    np.testing.assert_allclose(scores, Local(tiny_bundle).answer(picture).outputs["scores"], atol=1e-6)


@given(format_name=st.sampled_from(["jpeg", "webp"]), quality=st.integers(1, 100))
def test_a_picture_setting_is_read_back_as_it_is_written(format_name, quality):
    assert parse_offload(f"{format_name}-{quality}").setting == f"{format_name}-{quality}"


@pytest.mark.parametrize("text", ["", "jpeg", "jpeg-0", "jpeg-101", "jpeg--5", "png-50", "jpeg-5.0", "jpeg-\u00b2", "JPEG-50"])
def test_another_picture_setting_is_refused(text):
    with pytest.raises(ConfigError, match="as jpeg-75"):
        parse_offload(text)


def test_a_picture_may_be_shrunk_to_the_input_before_it_is_sent():
    small = Preparation(width=32, height=24)
    picture = np.random.default_rng(0).integers(0, 256, (240, 320, 3), dtype=np.uint8)
    sent = Offload("jpeg", 75, fitted_to=small).pack(picture)
    assert cv2.imdecode(np.frombuffer(sent.capture.picture.data, np.uint8), cv2.IMREAD_COLOR).shape == (24, 32, 3)
    assert Offload("jpeg", 75, fitted_to=small).setting == "jpeg-75@32x24"
