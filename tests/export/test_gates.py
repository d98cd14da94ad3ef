import dataclasses

import numpy as np
import onnx
import onnx_ir as ir
import pytest
import torch

from isthmus.codec.payload import Mode
from isthmus.contract.prepare import Preparation
from isthmus.errors import ExportError
from isthmus.export import gates
from isthmus.export.bottlenecks.bottleneck import from_modules
from isthmus.export.bottlenecks.convolutional import Decoder, Encoder
from isthmus.export.bottlenecks.halves import CodedHalves, assembled
from isthmus.export.bottlenecks.plain import quantised
from isthmus.export.cutting import cuts
from isthmus.export.cutting.split import split
from isthmus.export.doors.opening import Source
from isthmus.export.samples import Samples, prepared
from isthmus.export.training.distill import Learned

PREPARATION = Preparation(width=16, height=16)
SAMPLES = Samples(
    pictures=list(np.random.default_rng(2).integers(0, 256, (12, 16, 16, 3), np.uint8)), labels=None, names=(), origin="noise"
)


@pytest.fixture(scope="module")
def pictures():
    return prepared(SAMPLES.pictures, PREPARATION)


@pytest.fixture(scope="module")
def halves(residual_source):
    return split(residual_source.model, cuts.find(cuts.enumerate(residual_source.model), "add_30"))


@pytest.fixture(scope="module")
def coded(halves):
    return assembled(halves, quantised(halves, SAMPLES, PREPARATION, bits=4))


@pytest.fixture(scope="module")
def learned():
    torch.manual_seed(0)
    encoder = Encoder(3, 4, 4).train()
    for _ in range(8):
        encoder(torch.rand(8, 3, 16, 16))
    decoder = Decoder(4, (4, 4), (8, 8, 8)).eval()
    return Learned(encoder=encoder.eval(), decoder=decoder, grid=(4, 4), code_range=(-8, 7), steps=0, wall_s=0.0)


@pytest.fixture(scope="module")
def learned_coded(residual_source, learned):
    before = split(residual_source.model, cuts.find(cuts.enumerate(residual_source.model), "relu"))
    return assembled(before, [from_modules(before, learned.encoder, learned.decoder, bits=4, replaces_head=True)])


def corrupted(model, share=0.3):
    """A copy whose largest weight tensor has become a little larger."""
    copy = model.clone()
    weights = [value for value in copy.graph.initializers.values() if value.const_value.dtype == ir.DataType.FLOAT]
    largest = max(weights, key=lambda value: (value.const_value.size, value.name))
    largest.const_value = ir.tensor(largest.const_value.numpy() * np.float32(1 + share), name=largest.name)
    return copy


def check_failure(name, gate):
    """The gate stops the export in one line that has its value and its limit."""
    with pytest.raises(ExportError, match=rf"^gate '{name}' failed: (inf|[\d.e+-]+), at most [\d.e+-]+ \(.+\)") as failure:
        gate()
    assert "\n" not in str(failure.value)


def check_passed(gate):
    assert 0 <= gate.value <= gate.limit
    assert gate.detail
    return gate


def test_the_imported_model_is_compared_with_torch(residual_source, pictures):
    assert check_passed(gates.same_as_torch(residual_source, pictures)).detail == "batch 1 and 3"
    wrong = dataclasses.replace(residual_source, model=corrupted(residual_source.model))
    check_failure("imported ONNX equals torch", lambda: gates.same_as_torch(wrong, pictures))


def test_a_file_has_no_torch_to_compare_with(residual_source, pictures):
    assert gates.same_as_torch(dataclasses.replace(residual_source, torch_module=None), pictures) is None


@pytest.mark.parametrize("half", ["head", "tail"])
def test_a_half_that_differs_from_the_source_fails(residual_source, halves, pictures, half):
    check_passed(gates.same_after_split(residual_source, halves, pictures))
    wrong = dataclasses.replace(halves, **{half: corrupted(getattr(halves, half))})
    check_failure("head then tail equals the source", lambda: gates.same_after_split(residual_source, wrong, pictures))


def test_halves_that_the_checker_refuses_fail(residual_source, halves):
    gate = check_passed(gates.well_formed(residual_source, halves))
    assert gate.detail == "onnx.checker, with types and shapes"
    wrong = halves.tail.clone()
    next(node for node in wrong.graph if node.op_type == "Conv").attributes["group"] = ir.AttrString("group", "two")
    with pytest.raises(ExportError, match=r"the tail is no sound ONNX model: .*group"):
        gates.well_formed(residual_source, dataclasses.replace(halves, tail=wrong))


def test_types_are_not_checked_in_halves_of_a_source_that_does_not_pass_itself(residual_source, halves):
    model = residual_source.model.clone()
    model.graph.outputs[0].shape = ir.Shape(["batch", 77])
    mislabelled = dataclasses.replace(residual_source, model=model)
    assert "of the source do not pass" in gates.well_formed(mislabelled, halves).detail


def test_a_float_cut_inside_a_quantised_network_is_compared_operator_by_operator(residual_source, model_of, pictures):
    text = """n (float[batch, 3, 16, 16] x) => (float[batch, 4, 16, 16] y)
    <float scale = {0.05}, uint8 zero = {128}, float fine = {0.01}, int8 none = {0}> {
        a = QuantizeLinear (x, scale, zero)
        b = DequantizeLinear (a, scale, zero)
        c = QuantizeLinear (w1, fine, none)
        w = DequantizeLinear (c, fine, none)
        d = Conv <pads = [1, 1, 1, 1]> (b, w)
        e = QuantizeLinear (d, fine, zero)
        y = DequantizeLinear (e, fine, zero)
    }"""
    model = model_of(text)
    source = dataclasses.replace(residual_source, model=model, torch_module=None)
    at_floats = split(model, cuts.find(cuts.enumerate(model), "b"))
    at_codes = split(model, cuts.find(cuts.enumerate(model), "a"))
    assert "operator by operator" in check_passed(gates.same_after_split(source, at_floats, pictures)).detail
    assert gates.same_after_split(source, at_codes, pictures).detail == "batch 1 and 3"


@pytest.mark.parametrize(("is_free", "sizes"), [(True, [1, 3]), (False, [1, 1])])
@pytest.mark.parametrize("count", [1, 2, 12])
def test_the_two_inputs_have_no_picture_in_common(pictures, is_free, sizes, count):
    inputs = gates._two_inputs(pictures[:count], is_free=is_free)
    assert [len(given) for given in inputs] == sizes
    assert len(np.unique(np.concatenate(inputs), axis=0)) == sum(sizes)


def test_a_fixed_batch_is_checked_on_two_inputs_of_one_row(residual_source, halves, pictures):
    fixed = dataclasses.replace(residual_source, dynamic_batch=False)
    assert gates.same_after_split(fixed, halves, pictures).detail == "two inputs of batch 1"


class Joined(CodedHalves):
    """Coded halves whose joined network is corrupt, as after a faulty merge."""

    def joined(self):
        return corrupted(super().joined())


def test_a_joined_network_that_differs_fails(coded, pictures):
    check_passed(gates.same_when_quantised(coded, pictures))
    wrong = Joined(head=coded.head, tail=coded.tail, boundary=coded.boundary)
    check_failure("head, codec, tail equal the quantised whole", lambda: gates.same_when_quantised(wrong, pictures))


def test_the_quantised_whole_is_compared_at_two_batch_sizes(coded, pictures, monkeypatch):
    rows = []
    run = gates.Session.run
    monkeypatch.setattr(
        gates.Session, "run", lambda self, feeds: rows.append(len(next(iter(feeds.values())))) or run(self, feeds)
    )
    assert gates.same_when_quantised(coded, pictures).detail == "batch 1 and 3"
    assert rows == [1, 3] * 3


def test_an_encoder_that_gives_other_codes_than_torch_fails(learned, learned_coded, pictures):
    check_passed(gates.same_codes_as_torch(learned, learned_coded, pictures))
    wrong = dataclasses.replace(learned_coded, head=corrupted(learned_coded.head))
    check_failure("head codes equal torch", lambda: gates.same_codes_as_torch(learned, wrong, pictures))


def test_codes_hardly_depend_on_batch_and_threads(coded, pictures):
    assert gates.changed_by_order(coded, pictures) <= gates.CHANGED_CODES_MAX


def test_a_head_of_a_fixed_batch_is_measured_row_by_row(model_of, pictures):
    text = "n (float[1, 3, 16, 16] x) => (float[1, 3, 16, 16] y) { t = Relu (x) y = Softmax <axis = 0> (t) }"
    model = model_of(text)
    before = split(model, cuts.find(cuts.enumerate(model), "t"))
    fixed = assembled(before, quantised(before, SAMPLES, PREPARATION, bits=4))
    assert gates.changed_by_order(fixed, pictures) == 0.0


def test_the_full_point_takes_every_channel_of_every_tensor(coded):
    assert gates.full_point(coded).channels == (8, 8)


def test_golden_frames_hold_every_frame_point_and_mode(coded, pictures):
    frames = gates.golden_frames(coded, [gates.full_point(coded)], pictures[:3])
    assert len(frames) == 3
    assert set(frames.payloads) == {(mode, frame, 0) for mode in (Mode.RAW, Mode.ZSTD) for frame in range(3)}
    assert [codes.shape for codes in frames.codes] == [(3, 8, 8, 8)] * 2
    assert {name: output.shape for name, output in frames.outputs.items()} == {"linear": (3, 5)}


BOXES_OF_ROWS = """
n (float[batch, 3, 8, 8] x) => (float[batch, 2, 4] boxes, float[batch, 2] scores, int64[batch, 2] classes) {
    means = ReduceMean <axes = [1, 2, 3], keepdims = 0> (x)
    nothing = Mul (means, zero)
    column = Unsqueeze (nothing, one)
    rows = Shape <start = 0, end = 1> (x)
    count = Cast <to = 1> (rows)
    spread = Pow (count, power)
    sure = Div (share, spread)
    scores = Add (column, sure)
    cube = Unsqueeze (column, two)
    boxes = Add (cube, corners)
    kind = Cast <to = 7> (column)
    classes = Add (kind, kinds)
}
"""


@pytest.mark.parametrize(("power", "passes"), [(0.0, True), (1.0, False)])
def test_boxes_that_depend_on_the_batch_do_not_pass(power, passes):
    proto = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : 17]>\n{BOXES_OF_ROWS}')
    constants = {
        "zero": np.float32(0),
        "one": np.array([1]),
        "two": np.array([2]),
        "power": np.float32(power),
        "share": np.array([[0.9, 0.6]], np.float32),
        "corners": np.array([[[0, 0, 4, 4], [5, 5, 8, 8]]], np.float32),
        "kinds": np.array([[0, 1]]),
    }
    proto.graph.initializer.extend(onnx.numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items())
    source = Source(model=ir.from_proto(proto), name="n", reference="n", torch_module=None, example_inputs=(), dynamic_batch=True)
    pictures = np.ones((2, 3, 8, 8), np.float32)
    assert gates.same_boxes_in_a_batch(dataclasses.replace(source, dynamic_batch=False), pictures) is None
    if passes:
        assert gates.same_boxes_in_a_batch(source, pictures).value == 0.0
    else:
        with pytest.raises(ExportError, match="boxes in a batch equal boxes alone"):
            gates.same_boxes_in_a_batch(source, pictures)
