import logging

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from isthmus.codec.codec import Codec
from isthmus.contract.prepare import Preparation
from isthmus.errors import ExportError
from isthmus.export.bottlenecks import activations, pca, points
from isthmus.export.bottlenecks.activations import Moments
from isthmus.export.bottlenecks.halves import assembled
from isthmus.export.bottlenecks.pca import components, projected
from isthmus.export.cutting import cuts
from isthmus.export.cutting.split import split
from isthmus.export.graph.session import Session, relative_difference
from isthmus.export.samples import Samples, prepared

SMALL = Preparation(width=8, height=8)
LARGER = Preparation(width=16, height=16)
WIDE = """
n (float[batch, 3, 8, 8] x) => (float[batch, 4, 8, 8] y) {
    t = Conv <pads = [1, 1, 1, 1]> (x, w1, b1) u = Conv <pads = [1, 1, 1, 1]> (t, w2, b2) y = Relu (u)
}
"""
DOUBLED = "n (float[batch, 3, 8, 8] x) => (float[batch, 6, 8, 8] y) { n = Neg (x) t = Concat <axis = 1> (x, n) y = Relu (t) }"
VECTOR = "n (float[batch, 3, 8, 8] x) => (float[batch, 3] y) { p = GlobalAveragePool (x) t = Flatten (p) y = Softmax (t) }"
TOKENS = """
n (float[batch, 3, 8, 8] x) => (float[batch, 64, 3] y) {
    shape = Constant <value_ints = [0, 3, 64]> () gain = Constant <value_floats = [1.0, 30.0, 900.0]> ()
    flat = Reshape (x, shape) turned = Transpose <perm = [0, 2, 1]> (flat) t = Mul (turned, gain) y = Neg (t)
}
"""
DEEP = """
n (float[batch, 3, 8, 8] x) => (float[batch, 3, 8, 8] y) {
    shape = Constant <value_ints = [0, 3, 2, 2, 4, 4]> () back = Constant <value_ints = [0, 3, 8, 8]> ()
    r = Reshape (x, shape) t = Relu (r) y = Reshape (t, back)
}
"""


def noise(count, side=8):
    pictures = list(np.random.default_rng(2).integers(0, 256, (count, side, side, 3), np.uint8))
    return Samples(pictures=pictures, labels=None, names=(), origin="noise")


def at(model, name):
    return split(model, cuts.find(cuts.enumerate(model), name))


def correlated(count=4000):
    """Six channels of which three carry everything."""
    random = np.random.default_rng(5)
    sources = random.normal(size=(count, 3)) * [5, 2, 0.5]
    return (sources @ random.normal(size=(3, 6)) + 7).astype(np.float32)


def moments_of(values):
    moments = Moments(values.shape[1])
    moments.add(values)
    return moments


def test_components_are_those_of_the_singular_value_decomposition():
    values = correlated()
    found = components(moments_of(values), 2)
    _, singular, vectors = np.linalg.svd(values - values.mean(axis=0), full_matrices=False)
    np.testing.assert_allclose(np.abs(found.basis @ vectors[:2].T), np.eye(2), atol=1e-4)
    np.testing.assert_allclose(found.explained, np.cumsum(singular**2)[:2] / (singular**2).sum(), rtol=1e-4)


def test_as_many_components_as_carry_variance_restore_everything():
    values = correlated()
    found = components(moments_of(values), 6)
    assert (found.rank, len(found.basis)) == (3, 3)
    restored = (values - found.mean) @ found.basis.T @ found.basis + found.mean
    np.testing.assert_allclose(restored, values, atol=2e-3)


def test_components_do_not_depend_on_the_solvers_signs(monkeypatch):
    moments = moments_of(correlated())
    found = components(moments, 3)
    solve = np.linalg.eigh
    monkeypatch.setattr(np.linalg, "eigh", lambda matrix: (solve(matrix)[0], -solve(matrix)[1]))
    np.testing.assert_array_equal(components(moments, 3).basis, found.basis)


@pytest.mark.parametrize(
    ("text", "cut", "channels", "shape"),
    [
        (WIDE, "t", 4, (4, 8, 8)),
        (DOUBLED, "t", 3, (3, 8, 8)),
        (VECTOR, "t", 3, (3,)),
        (TOKENS, "t", 3, (3, 64)),
        (DEEP, "t", 3, (3, 2, 2, 4, 4)),
    ],
    ids=["map", "half the channels", "vector", "tokens", "six axes"],
)
def test_all_components_lose_only_what_eight_bits_lose(model_of, text, cut, channels, shape):
    model = model_of(text)
    halves = at(model, cut)
    coded = assembled(halves, projected(halves, noise(40), SMALL, channels=channels, bits=8))
    assert [tensor.shape for tensor in coded.boundary.tensors] == [shape]
    pictures = prepared(noise(3).pictures, SMALL)
    whole, joined = Session(model), Session(coded.joined())
    want, got = (list(one.run({one.inputs[0]: pictures}).values()) for one in (whole, joined))
    assert relative_difference(got, want) < 0.05
    for side in (coded.head, coded.tail):
        onnx.checker.check_model(ir.to_proto(side), full_check=True)


def test_the_scales_are_in_the_convolutions(model_of):
    halves = at(model_of(WIDE), "t")
    (bottleneck,) = projected(halves, noise(20), SMALL, channels=2, bits=4)
    assert [node.op_type for node in bottleneck.encoder.graph] == ["Conv"]
    assert [node.op_type for node in bottleneck.decoder.graph] == ["Conv"]


def test_missing_channels_stand_for_the_mean(model_of):
    halves = at(model_of(WIDE), "t")
    (bottleneck,) = projected(halves, noise(60), SMALL, channels=4, bits=8)
    restored = Session(bottleneck.decoder).run({"code_values": np.zeros((1, 4, 8, 8), np.float32)})["t"]
    head = Session(halves.head)
    mean = head.run({"x": prepared(noise(60).pictures, SMALL)})["t"].mean(axis=(0, 2, 3))
    np.testing.assert_allclose(restored[0, :, 0, 0], mean, atol=0.01)


def test_every_prefix_is_worth_more_than_the_one_before(residual_source):
    halves = at(residual_source.model, "relu")
    bottlenecks = projected(halves, noise(60, 16), LARGER, channels=8, bits=6)
    coded, found = assembled(halves, bottlenecks), points.of(bottlenecks)
    assert [(point.name, point.channels) for point in found] == [("full", (8,)), ("half", (4,)), ("quarter", (2,))]
    explained = [point.explained_variance for point in found]
    assert explained == sorted(explained, reverse=True)
    pictures = prepared(noise(8, 16).pictures, LARGER)
    whole, head, tail = Session(residual_source.model), Session(coded.head), Session(coded.tail)
    codec, codes = Codec(coded.boundary, found), head.run({head.inputs[0]: pictures})["codes_0"]
    want = next(iter(whole.run({whole.inputs[0]: pictures}).values()))
    errors = []
    for index in range(len(found)):
        sent = np.stack([codec.decode(codec.encode([row], point=index), point=index)[0] for row in codes])
        errors.append(np.square(next(iter(tail.run({"codes_0": sent}).values())) - want).mean())
    assert errors == sorted(errors)


def test_more_channels_than_carry_variance_are_refused_with_the_number_that_do(model_of):
    with pytest.raises(ExportError, match="t at the cut has 3 principal components on 20 pictures, --channels 5 asks for more"):
        projected(at(model_of(DOUBLED), "t"), noise(20), SMALL, channels=5, bits=4)


def test_too_few_pictures_are_said(model_of, caplog):
    with caplog.at_level(logging.WARNING):
        projected(at(model_of(VECTOR), "t"), noise(12), SMALL, channels=2, bits=4)
    assert "12 positions of 12 pictures are few for the 3 channels of t" in caplog.text


def test_memory_is_that_of_a_sample(model_of, monkeypatch):
    monkeypatch.setattr(activations, "MOMENT_POSITIONS_MAX", 5)
    (seen,) = activations.see(at(model_of(WIDE), "t"), noise(7), SMALL, bits=4, with_moments=True)
    assert seen.moments.count == 35
    assert pca.components(seen.moments, 1).rank == 4
