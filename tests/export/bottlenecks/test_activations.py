import dataclasses

import numpy as np
import pytest

from isthmus.contract.prepare import Preparation
from isthmus.errors import ExportError
from isthmus.export.bottlenecks import activations
from isthmus.export.bottlenecks.activations import Moments, see
from isthmus.export.cutting import cuts
from isthmus.export.cutting.split import split
from isthmus.export.graph.session import Session
from isthmus.export.samples import Samples, prepared

SMALL = Preparation(width=8, height=8)
TOKENS = """
n (float[batch, 3, 8, 8] x) => (float[batch, 64, 3] y) {
    shape = Constant <value_ints = [0, 3, 64]> ()
    gain = Constant <value_floats = [1.0, 30.0, 900.0]> ()
    flat = Reshape (x, shape)
    turned = Transpose <perm = [0, 2, 1]> (flat)
    t = Mul (turned, gain)
    y = Softmax (t)
}
"""

MAPS = """
m (float[batch, 3, 8, 8] x) => (float[batch, 2, 8, 8] y)
    <float[2, 3, 1, 1] weights = {1, 2, 3, 4, 5, 6}> {
    gain = Constant <value_floats = [1.0, 30.0, 900.0, 1.0, 30.0, 900.0, 1.0, 30.0]> ()
    t = Mul (x, gain)
    y = Conv (t, weights)
}
"""


def noise(count):
    pictures = list(np.random.default_rng(2).integers(0, 256, (count, 8, 8, 3), np.uint8))
    return Samples(pictures=pictures, labels=None, names=(), origin="noise")


def at(model, name):
    return split(model, cuts.find(cuts.enumerate(model), name))


def test_tokens_have_their_channels_last(model_of):
    (seen,) = see(at(model_of(TOKENS), "t"), noise(6), SMALL, bits=4)
    assert seen.layout.shape == (3, 64)


def test_maps_keep_their_channels_first(handmade):
    (seen,) = see(at(handmade["skip"], "active"), noise(6), SMALL, bits=4)
    assert seen.layout.shape == (4, 8, 8)


def test_what_a_convolution_reads_has_its_channels_first_whatever_the_columns_look_like(model_of):
    (seen,) = see(at(model_of(MAPS), "t"), noise(6), SMALL, bits=4)
    assert seen.layout.shape == (3, 8, 8)


@pytest.mark.parametrize(("domain", "places"), [("", (1,)), ("com.microsoft", (1, 3))])
def test_an_operator_of_another_domain_does_not_say_where_channels_are(model_of, domain, places):
    halves = at(model_of(MAPS), "t")
    next(node for node in halves.tail.graph if node.op_type == "Conv").domain = domain
    (found,) = activations.layouts(halves)
    assert found.channel_places() == places


def test_extremes_are_of_all_values_and_the_sample_is_bounded(handmade, monkeypatch):
    halves, samples = at(handmade["skip"], "second"), noise(9)
    monkeypatch.setattr(activations, "POSITIONS_MAX", 90)
    seen = see(halves, samples, SMALL, bits=4)
    head = Session(halves.head)
    everything = head.run({head.inputs[0]: prepared(samples.pictures, SMALL)})
    for one in seen:
        values = everything[one.layout.name]
        assert one.values.shape == (90, 4)
        assert one.lowest == pytest.approx(values.min(), abs=1e-5)
        np.testing.assert_allclose(one.peak, np.abs(values).max(axis=(0, 2, 3)), rtol=1e-5)
        assert one.pictures == 9


def test_pictures_are_taken_from_everywhere_in_a_folder(handmade, monkeypatch):
    monkeypatch.setattr(activations, "PICTURES_MAX", 3)
    samples = noise(9)
    used = []
    real = activations.prepare
    monkeypatch.setattr(activations, "prepare", lambda picture, how: used.append(picture) or real(picture, how))
    see(at(handmade["skip"], "active"), samples, SMALL, bits=4)
    assert [next(i for i, one in enumerate(samples.pictures) if one is picture) for picture in used] == [0, 4, 8]


def test_moments_added_in_parts_are_those_of_the_whole():
    values = np.random.default_rng(0).normal(100, [1, 3, 10], (500, 3)).astype(np.float32)
    values[:, 2] += 5 * values[:, 0]
    moments = Moments(3)
    for part in np.array_split(values, 7):
        moments.add(part)
    np.testing.assert_allclose(moments.mean, values.mean(axis=0, dtype=np.float64), rtol=1e-6)
    np.testing.assert_allclose(moments.covariance, np.cov(values.T.astype(np.float64), bias=True), rtol=1e-4)
    assert moments.count == 500


def test_values_that_are_not_finite_are_refused(model_of):
    text = (
        "n (float[batch, 3, 8, 8] x) => (float[batch, 3, 8, 8] y) "
        "{ zero = Constant <value_float = 0.0> () t = Div (x, zero) y = Relu (t) }"
    )
    with pytest.raises(ExportError, match="tensor t at the cut has values that are not finite; cut elsewhere"):
        see(at(model_of(text), "t"), noise(3), SMALL, bits=4)


def test_auxiliary_tensors_are_refused_before_anything_runs(handmade):
    halves = dataclasses.replace(at(handmade["skip"], "active"), auxiliary=("size",))
    with pytest.raises(ExportError, match=r"shapes or inputs cross beside the tensors \(size, active\); name another cut"):
        activations.layouts(halves)
