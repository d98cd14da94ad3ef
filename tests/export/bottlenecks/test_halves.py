import numpy as np
import onnx
import onnx_ir as ir
import pytest
import torch

from isthmus.contract.prepare import Preparation
from isthmus.errors import ExportError
from isthmus.export.bottlenecks import halves, plain
from isthmus.export.bottlenecks.bottleneck import from_modules
from isthmus.export.bottlenecks.convolutional import Decoder, Encoder
from isthmus.export.bottlenecks.halves import assembled
from isthmus.export.cutting import cuts
from isthmus.export.cutting.split import split
from isthmus.export.graph.session import Session, relative_difference
from isthmus.export.samples import Samples, prepared
from isthmus.export.training.distill import Learned

SMALL = Preparation(width=8, height=8)
LARGER = Preparation(width=16, height=16)


def noise(count, side):
    random = np.random.default_rng(2)
    pictures = [random.integers(0, 256, (side, side, 3), np.uint8) for _ in range(count)]
    return Samples(pictures=pictures, labels=None, names=(), origin="noise")


def at(model, name):
    return split(model, cuts.find(cuts.enumerate(model), name))


def quantised(split_model, samples, preparation, *, bits):
    return assembled(split_model, plain.quantised(split_model, samples, preparation, bits=bits))


def learned_for(grid, shape, bits=4):
    torch.manual_seed(0)
    encoder = Encoder(3, 4, 4).train()
    for _ in range(8):  # batch norms get statistics as after a training
        encoder(torch.rand(8, 3, 16, 16))
    low = -(1 << (bits - 1))
    return Learned(
        encoder=encoder.eval(),
        decoder=Decoder(4, grid, shape).eval(),
        grid=grid,
        code_range=(low, -low - 1),
        steps=0,
        wall_s=0.0,
    )


def check_halves(coded, pictures):
    """Both run from codes of the declared kind, and in a row they equal the joined network."""
    for model in (coded.head, coded.tail, coded.joined()):
        onnx.checker.check_model(ir.to_proto(model), full_check=True)
    head, tail, joined = Session(coded.head), Session(coded.tail), Session(coded.joined())
    codes = head.run({head.inputs[0]: pictures})
    assert tuple(codes) == tail.inputs == tuple(tensor.name for tensor in coded.boundary.tensors)
    for row in range(len(pictures)):
        coded.boundary.check([codes[tensor.name][row] for tensor in coded.boundary.tensors])
    answered = tail.run(codes)
    wanted = joined.run({joined.inputs[0]: pictures})
    assert answered.keys() == wanted.keys()
    assert relative_difference(list(answered.values()), list(wanted.values())) < 1e-5
    return codes, answered


@pytest.mark.parametrize(
    ("cut", "tensors", "signed"), [("active", 1, [False]), ("second", 2, [False, True]), ("joined", 1, [True])]
)
def test_a_quantised_split_equals_its_joined_network_at_one_and_several_tensors(handmade, cut, tensors, signed):
    coded = quantised(at(handmade["skip"], cut), noise(12, 8), SMALL, bits=6)
    assert len(coded.boundary.tensors) == tensors
    assert [tensor.signed for tensor in coded.boundary.tensors] == signed
    check_halves(coded, prepared(noise(3, 8).pictures, SMALL))


@pytest.mark.parametrize("name", ["relu", "add_30", "cat", "mean"])
def test_a_torch_network_can_be_quantised_at_maps_skips_and_vectors(residual_source, name):
    coded = quantised(at(residual_source.model, name), noise(12, 16), LARGER, bits=8)
    pictures = prepared(noise(3, 16).pictures, LARGER)
    _, answered = check_halves(coded, pictures)
    whole = Session(residual_source.model)
    wanted = whole.run({whole.inputs[0]: pictures})
    assert relative_difference(list(answered.values()), list(wanted.values())) < 0.1


def test_more_bits_change_the_answers_less(residual_source):
    whole = Session(residual_source.model)
    pictures = prepared(noise(8, 16).pictures, LARGER)
    wanted = list(whole.run({whole.inputs[0]: pictures}).values())
    errors = []
    for bits in (2, 4, 8):
        joined = Session(quantised(at(residual_source.model, "cat"), noise(8, 16), LARGER, bits=bits).joined())
        errors.append(relative_difference(list(joined.run({joined.inputs[0]: pictures}).values()), wanted))
    assert errors == sorted(errors, reverse=True)


def test_a_network_of_a_fixed_batch_of_one_is_calibrated_picture_by_picture(model_of):
    text = "n (float[1, 3, 8, 8] x) => (float[1, 3, 8, 8] y) { t = Relu (x) y = Softmax <axis = 0> (t) }"
    coded = quantised(at(model_of(text), "t"), noise(4, 8), SMALL, bits=4)
    assert coded.boundary.tensors[0].shape == (3, 8, 8)


def test_pictures_run_one_by_one_give_what_they_give_together(residual_source):
    session = Session(residual_source.model)
    pictures = prepared(noise(5, 16).pictures, LARGER)
    together = session.run({session.inputs[0]: pictures})
    singly = halves.one_by_one(session, pictures)
    assert relative_difference(list(singly.values()), list(together.values())) < 1e-5


def test_shapes_that_cross_beside_the_tensors_are_refused(handmade):
    with pytest.raises(ExportError, match=r"shapes or inputs cross beside the tensors \(ends"):
        quantised(at(handmade["enlarged"], "active"), noise(4, 8), SMALL, bits=4)


def test_an_input_that_the_tail_reads_too_is_refused(handmade):
    with pytest.raises(ExportError, match=r"shapes or inputs cross beside the tensors \(early, active, gain\)"):
        quantised(at(handmade["two_inputs"], "active"), noise(4, 8), SMALL, bits=4)


def test_integers_at_the_cut_are_refused(model_of):
    model = model_of(
        "n (float[batch, 3, 8, 8] x) => (float[batch, 3, 8, 8] y) { t = Cast <to = 6> (x) u = Cast <to = 1> (t) y = Relu (u) }"
    )
    with pytest.raises(ExportError, match="tensor t at the cut is INT32"):
        quantised(at(model, "t"), noise(4, 8), SMALL, bits=4)


@pytest.mark.parametrize(("cut", "shape", "bits"), [("relu", (8, 8, 8), 8), ("relu6", (4, 4, 4), 1)])
def test_a_learned_encoder_takes_the_place_of_the_head(residual_source, cut, shape, bits):
    learned = learned_for((4, 4), shape, bits)
    before = at(residual_source.model, cut)
    coded = assembled(before, [from_modules(before, learned.encoder, learned.decoder, bits=bits, replaces_head=True)])
    pictures = prepared(noise(3, 16).pictures, LARGER)
    codes, answered = check_halves(coded, pictures)
    (tensor,) = coded.boundary.tensors
    assert (tensor.bits, tensor.lowest, tensor.shape) == (bits, -(1 << (bits - 1)), (4, 4, 4))
    with torch.no_grad():
        wanted = learned.encoder(torch.from_numpy(pictures)).clamp(*learned.code_range).round()
        restored = learned.decoder(torch.from_numpy(codes["codes_0"]).float())
    assert (codes["codes_0"] != wanted.numpy()).mean() < 0.01
    tail = Session(at(residual_source.model, cut).tail)
    direct = tail.run({tail.inputs[0]: restored.numpy()})
    assert relative_difference(list(answered.values()), list(direct.values())) < 1e-4
