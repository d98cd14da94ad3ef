import numpy as np
import pytest

from isthmus.contract import tensor
from isthmus.contract.bundle import Bundle
from isthmus.errors import BundleError, DeviceError, NotBuiltYet
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


def test_a_language_model_is_refused(tiny_bundle):
    manifest = tiny_bundle.manifest.model_copy(update={"kind": "lm"})
    with pytest.raises(NotBuiltYet, match="is a language model"):
        TailModel.load(Bundle(folder=tiny_bundle.folder, manifest=manifest, origin=tiny_bundle.origin), workers=1)


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
