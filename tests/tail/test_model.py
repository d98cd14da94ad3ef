import shutil
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from isthmus.contract import tensor
from isthmus.contract.bundle import Bundle, open_bundle
from isthmus.contract.bundle_writing import write_bundle
from isthmus.contract.picture import encode_picture
from isthmus.devices import provider as providers
from isthmus.errors import BundleError, DeviceError
from isthmus.tail.model import TailModel, Work


def frames(count):
    random = np.random.default_rng(count)
    return [Work(kind="codes", codes=(random.integers(-8, 8, size=(4, 4, 4), dtype=np.int8),)) for _ in range(count)]


def test_a_batch_gives_what_the_frames_give_alone(tiny_bundle):
    model = TailModel.load(tiny_bundle, workers=2)
    works = frames(5)
    together = model.compute(1, works)
    alone = [model.compute(0, [work])[0] for work in works]
    assert model.batches
    for one, other in zip(together, alone, strict=True):
        assert [out.shape for out in one.outputs] == [[1, 5]]
        np.testing.assert_allclose(tensor.unpack(one.outputs[0]), tensor.unpack(other.outputs[0]), rtol=1e-5)


def test_a_network_of_fixed_batch_is_not_batched(make_tiny_bundle):
    model = TailModel.load(make_tiny_bundle(batch="1"), workers=1)
    assert not model.batches
    assert len(model.compute(0, frames(1))) == 1


def test_a_network_that_cannot_take_several_frames_is_not_batched(make_tiny_bundle):
    """The flattening kept the batch of one, though the axis says any length."""
    body = """
        floats = Cast <to = 1> (codes)
        pooled = GlobalAveragePool (floats)
        one = Constant <value = int64[2] {1, 4}> ()
        flat = Reshape (pooled, one)
        answer = Gemm (flat, weights, bias)
        frames = Shape <start = 0, end = 1> (codes)
        five = Constant <value = int64[1] {5}> ()
        wanted = Concat <axis = 0> (frames, five)
        scores = Expand (answer, wanted)
    """
    model = TailModel.load(make_tiny_bundle(tail_body=body), workers=1)
    assert not model.batches


def test_a_network_whose_frames_touch_each_other_is_not_batched(make_tiny_bundle):
    body = """
        floats = Cast <to = 1> (codes)
        across = ReduceMax <axes = [0]> (floats)
        mixed = Add (floats, across)
        pooled = GlobalAveragePool (mixed)
        flat = Flatten (pooled)
        scores = Gemm (flat, weights, bias)
    """
    model = TailModel.load(make_tiny_bundle(tail_body=body), workers=1)
    assert not model.batches


def test_outputs_that_are_not_the_golden_ones_are_refused(make_tiny_bundle):
    with pytest.raises(BundleError, match=r"fails the gate 'tail outputs' here: 0\.\d+, at most 0\.001"):
        TailModel.load(make_tiny_bundle(golden_offset=0.05), workers=1)


def test_a_bundle_without_golden_frames_is_refused(make_tiny_bundle):
    with pytest.raises(BundleError, match=r"has no golden\.npz"):
        TailModel.load(make_tiny_bundle(without=("golden.npz",)), workers=1)


def test_golden_frames_that_cannot_be_read_are_refused(make_tiny_bundle):
    bundle = make_tiny_bundle()
    bundle.path("golden.npz").write_bytes(b"PK\x03\x04 nothing")
    with pytest.raises(BundleError, match=r"golden\.npz cannot be read"):
        TailModel.load(bundle, workers=1)


def test_a_tail_of_other_inputs_is_refused(tiny_bundle):
    tensors = tuple(tensor.model_copy(update={"name": "other"}) for tensor in tiny_bundle.manifest.boundary.tensors)
    boundary = tiny_bundle.manifest.boundary.model_copy(update={"tensors": tensors})
    manifest = tiny_bundle.manifest.model_copy(update={"boundary": boundary})
    with pytest.raises(BundleError, match=r"tail\.onnx takes \['codes'\], the boundary has \['other'\]"):
        TailModel.load(Bundle(folder=tiny_bundle.folder, manifest=manifest, origin=tiny_bundle.origin), workers=1)


def test_infinity_is_a_failure_as_nan_is(make_tiny_bundle):
    body = """
        floats = Cast <to = 1> (codes)
        pooled = GlobalAveragePool (floats)
        lifted = Add (pooled, highest)
        turned = Reciprocal (lifted)
        flat = Flatten (turned)
        scores = Gemm (flat, weights, bias)
    """
    model = TailModel.load(make_tiny_bundle(tail_body=body), workers=1)
    with pytest.raises(DeviceError, match="NaN or infinity in output 'scores'"):
        model.compute(0, [Work(kind="codes", codes=(np.full((4, 4, 4), -7, dtype=np.int8),))])


# ---------------------------------------------------------------------------------------------------------------- pictures


def picture():
    data = encode_picture(np.zeros((40, 60, 3), np.uint8), "jpeg", 75)
    return [Work(kind="picture", picture_format="jpeg", picture_data=data)]


@pytest.fixture
def broken_whole(make_tiny_bundle, tmp_path):
    """A bundle that is sound, but for a whole network that onnxruntime cannot load."""
    sound = make_tiny_bundle()
    (tmp_path / "whole.onnx").write_bytes(b"no network")
    files = {name: sound.path(name) for name in sound.manifest.files} | {"whole.onnx": tmp_path / "whole.onnx"}
    return write_bundle(tmp_path / "bundle", sound.manifest, files)


def test_a_whole_network_that_cannot_be_loaded_is_found_at_the_start(broken_whole):
    with pytest.raises(BundleError, match=r"whole\.onnx cannot be loaded"):
        TailModel.load(broken_whole, workers=1)


def test_with_lazy_pictures_it_is_found_by_the_first_picture(broken_whole):
    model = TailModel.load(broken_whole, workers=1, pictures="lazy")
    assert model.takes_pictures
    with pytest.raises(BundleError, match=r"whole\.onnx cannot be loaded"):
        model.compute(0, picture())


def test_without_pictures_it_is_never_looked_at(broken_whole):
    assert not TailModel.load(broken_whole, workers=1, pictures="off").takes_pictures


def test_a_whole_network_of_other_outputs_is_refused(make_tiny_bundle, tmp_path):
    sound = make_tiny_bundle()
    files = {name: sound.path(name) for name in sound.manifest.files} | {"whole.onnx": sound.path("head.onnx")}
    bundle = write_bundle(tmp_path / "bundle", sound.manifest, files)
    with pytest.raises(BundleError, match=r"whole\.onnx gives codes, the manifest promises 'scores'"):
        TailModel.load(bundle, workers=1)


def test_lazy_pictures_are_computed_by_the_network_that_was_checked(make_tiny_bundle, tmp_path):
    bundle = open_bundle(shutil.copytree(make_tiny_bundle().folder, tmp_path / "bundle"))
    model = TailModel.load(bundle, workers=1, pictures="lazy")
    shutil.copy(make_tiny_bundle(seed=5).path("whole.onnx"), bundle.path("whole.onnx"))
    with pytest.raises(BundleError, match=r"whole\.onnx was changed since the bundle was opened"):
        model.compute(0, picture())


def test_all_workers_share_one_whole_network(tiny_bundle):
    model = TailModel.load(tiny_bundle, workers=2, pictures="lazy")
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda worker: model.compute(worker, picture())[0].outputs[0], [0, 1, 0, 1]))
    assert all(answer == answers[0] for answer in answers)


# --------------------------------------------------------------------------------------------------------------- providers


def test_auto_takes_the_next_provider_where_the_first_one_does_not_start(tiny_bundle, monkeypatch):
    """As where onnxruntime was built with CUDA and there is no GPU."""
    monkeypatch.setattr(providers, "candidates", lambda _choice: ("cuda", "cpu"))
    model = TailModel.load(tiny_bundle, workers=1)
    assert model.provider == "cpu"


def test_a_provider_that_is_asked_for_is_not_replaced(tiny_bundle):
    with pytest.raises(DeviceError, match="provider cuda is asked for, onnxruntime here has cpu"):
        TailModel.load(tiny_bundle, workers=1, provider="cuda")


def test_tensors_go_into_the_tail_as_they_are(tiny_bundle):
    model, works = TailModel.load(tiny_bundle, workers=1), frames(3)
    codes = np.stack([work.codes[0] for work in works])
    [together] = model.compute(0, [Work(kind="tensors", tensors={"codes": codes})])
    alone = [tensor.unpack(model.compute(0, [work])[0].outputs[0]) for work in works]
    np.testing.assert_allclose(tensor.unpack(together.outputs[0]), np.concatenate(alone), rtol=1e-5)


def test_tensors_go_into_the_whole_network_as_they_are(tiny_bundle):
    model = TailModel.load(tiny_bundle, workers=1)
    pictures = np.zeros((2, 3, 32, 32), np.float32)
    [computed] = model.compute(0, [Work(kind="tensors", network="whole.onnx", tensors={"image": pictures})])
    assert [out.shape for out in computed.outputs] == [[2, 5]]


def test_only_frames_of_codes_keep_company():
    codes, others = frames(2), [Work(kind="tensors"), Work(kind="tensors"), Work(kind="picture"), Work(kind="picture")]
    assert codes[0].company == codes[1].company
    assert len({work.company for work in others}) == len(others)


def test_a_network_that_is_not_offered_has_no_interface(tiny_bundle, make_tiny_bundle):
    assert set(TailModel.load(tiny_bundle, workers=1).interfaces) == {"tail.onnx", "whole.onnx"}
    assert set(TailModel.load(tiny_bundle, workers=1, pictures="off").interfaces) == {"tail.onnx"}
    assert set(TailModel.load(make_tiny_bundle(without=("whole.onnx",)), workers=1).interfaces) == {"tail.onnx"}
