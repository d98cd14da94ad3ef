import numpy as np
import onnx
import onnx_ir as ir
import pytest

from isthmus.errors import ExportError, IsthmusError
from isthmus.export.cutting import cuts
from isthmus.export.cutting.split import merge, split
from isthmus.export.doors import examples, opening
from isthmus.export.graph.session import Session, relative_difference

NAMES = ["skip", "shaped", "enlarged", "two_inputs", "branched"]


def check_every_cut(model, stride=1):
    """Head then tail, and both merged, equal the whole at batch 1 and 3."""
    whole = Session(model)
    for cut in cuts.enumerate(model)[::stride]:
        halves = split(model, cut)
        for half in (halves.head, halves.tail):
            onnx.checker.check_model(ir.to_proto(half), full_check=True)
        joined = merge(halves.head, halves.tail, join={value.name: value.name for value in halves.head.graph.outputs})
        head, tail, together = Session(halves.head), Session(halves.tail), Session(joined)
        for rows in (1, 3):
            feeds = examples.made(model.graph, rows=rows, size=10)
            want = whole.run(feeds)
            got = tail.run(feeds | head.run(feeds))
            again = together.run(feeds)
            assert relative_difference(list(got.values()), list(want.values())) <= 1e-5, cut
            assert relative_difference([again[name] for name in want], list(want.values())) <= 1e-5, cut


@pytest.mark.parametrize("name", NAMES)
def test_head_then_tail_equals_the_whole_at_every_cut(handmade, name):
    check_every_cut(handmade[name])


def test_every_cut_of_a_torch_network_is_exact(residual_source):
    check_every_cut(residual_source.model)


def test_each_half_carries_its_own_weights_only(handmade):
    halves = split(handmade["skip"], cuts.find(cuts.enumerate(handmade["skip"]), "active"))
    assert set(halves.head.graph.initializers) == {"w1", "b1"}
    assert set(halves.tail.graph.initializers) == {"w2", "b2", "w3", "b3"}


def test_a_batch_read_off_the_input_is_read_off_the_cut_instead(handmade):
    halves = split(handmade["shaped"], cuts.find(cuts.enumerate(handmade["shaped"]), "active"))
    assert halves.auxiliary == ()
    assert [value.name for value in halves.tail.graph.inputs] == ["active"]


def test_a_size_the_cut_does_not_have_crosses_beside_it(handmade):
    halves = split(handmade["enlarged"], cuts.find(cuts.enumerate(handmade["enlarged"]), "active"))
    assert halves.auxiliary == ("ends",)
    assert [value.name for value in halves.head.graph.outputs] == ["active", "ends"]
    assert {value.name for value in halves.tail.graph.inputs} == {"active", "ends"}


def test_an_input_both_halves_read_stays_an_input_of_the_tail(handmade):
    halves = split(handmade["two_inputs"], cuts.find(cuts.enumerate(handmade["two_inputs"]), "active"))
    assert [value.name for value in halves.head.graph.inputs] == ["x"]
    assert [value.name for value in halves.tail.graph.inputs] == ["early", "active", "gain"]


def test_the_model_itself_is_left_as_it_was(handmade):
    model = handmade["enlarged"]
    before = ir.to_proto(model).SerializeToString()
    split(model, cuts.enumerate(model)[1])
    assert ir.to_proto(model).SerializeToString() == before


def test_a_cut_of_another_model_is_refused(handmade):
    with pytest.raises(ExportError, match="is not one of this model"):
        split(handmade["skip"], cuts.enumerate(handmade["two_inputs"])[1])


def test_merged_models_share_no_name_by_accident(model_of):
    first = model_of("a (float[batch, 4] x) => (float[batch, 4] code) { t = Relu (x) code = Neg (t) }")
    second = model_of("b (float[batch, 4] z) => (float[batch, 4] y) { t = Sigmoid (z) code = Exp (t) y = Neg (code) }")
    joined = merge(first, second, join={"code": "z"})
    x = np.array([[-1, 0, 1, 2]], np.float32)
    expected = -np.exp(1 / (1 + np.exp(np.maximum(x, 0))))
    assert [value.name for value in joined.graph.outputs] == ["y"]
    np.testing.assert_allclose(Session(joined).run({"x": x})["y"], expected, rtol=1e-5)


def test_an_output_that_is_not_joined_stays_one(model_of):
    first = model_of("a (float[batch, 4] x) => (float[batch, 4] p, float[batch, 4] q) { p = Relu (x) q = Neg (x) }")
    second = model_of("b (float[batch, 4] z, float[batch, 4] w) => (float[batch, 4] y) { y = Add (z, w) }")
    joined = merge(first, second, join={"p": "z"})
    assert [value.name for value in joined.graph.inputs] == ["x", "w"]
    assert [value.name for value in joined.graph.outputs] == ["y", "q"]


@pytest.mark.parametrize(
    ("second", "join", "message"),
    [
        ("b (float[batch, 4] z) => (float[batch, 4] y) { y = Relu (z) }", {"no": "z"}, "no output 'no'"),
        ("b (float[batch, 4] z) => (float[batch, 4] y) { y = Relu (z) }", {"p": "no"}, "no input 'no'"),
        ("b (float[batch, 5] z) => (float[batch, 5] y) { y = Relu (z) }", {"p": "z"}, "has shape"),
        ("b (int64[batch, 4] z) => (int64[batch, 4] y) { y = Neg (z) }", {"p": "z"}, "is FLOAT and 'z' wants INT64"),
    ],
)
def test_models_that_do_not_fit_are_not_merged(model_of, second, join, message):
    first = model_of("a (float[batch, 4] x) => (float[batch, 4] p) { p = Relu (x) }")
    with pytest.raises(ExportError, match=message):
        merge(first, model_of(second), join=join)


def test_a_lower_opset_is_raised_to_merge(model_of):
    first = model_of("a (float[batch, 4] x) => (float[batch, 4] p) { p = Relu (x) }", opset=15)
    second = model_of("b (float[batch, 4] z) => (float[batch, 4] y) { y = Neg (z) }", opset=17)
    assert merge(first, second, join={"p": "z"}).opset_imports[""] == 17


def test_opsets_that_cannot_meet_are_refused(handmade, model_of):
    first = model_of("a (float[batch, 3, 8, 8] z) => (float[batch, 3, 8, 8] p) { p = Relu (z) }", opset=18)
    with pytest.raises(ExportError, match="opset 18 to one of opset 17"):
        merge(first, handmade["branched"], join={"p": "x"})


@pytest.mark.slow
def test_every_foreign_file_splits_exactly_or_is_refused(onnx_zoo):
    for path in onnx_zoo:
        try:
            source = opening.open_model(str(path))
            found = cuts.enumerate(source.model)
        except IsthmusError:
            continue
        assert found
        feeds = dict(zip([value.name for value in source.model.graph.inputs], source.example_inputs, strict=True))
        want = Session(source.model).run(feeds)
        for cut in found[:: max(1, len(found) // 4)]:
            halves = split(source.model, cut)
            got = Session(halves.tail).run(feeds | Session(halves.head).run(feeds))
            assert relative_difference(list(got.values()), list(want.values())) <= 1e-5, (path.name, cut)
