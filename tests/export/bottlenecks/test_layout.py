import numpy as np
import onnx_ir as ir
import pytest

from isthmus.errors import ExportError
from isthmus.export.bottlenecks import layout
from isthmus.export.graph.flow import dimensions
from isthmus.export.graph.session import Session


def tensor(sizes, data_type=ir.DataType.FLOAT):
    return ir.Value(name="t", type=ir.TensorType(data_type), shape=ir.Shape(sizes))


def of(sizes, data_type=ir.DataType.FLOAT):
    value = tensor(sizes, data_type)
    return layout.of(value, value)


def example(sizes, rows, dtype=np.float32):
    shape = dimensions(tensor(sizes), batch=rows)
    return np.random.default_rng(1).normal(size=shape).astype(dtype)


SIZES = [
    (["batch", 3, 4, 5], (3, 4, 5), (5, 3, 4)),
    (["batch", 7, 5], (7, 5), (5, 7)),
    (["batch", 6], (6,), (6,)),
    (["4*batch", 7, 5], (4, 7, 5), (5, 4, 7)),
    ([7, "batch", 5], (7, 5), (5, 7)),
    ([1, 3, 4], (3, 4), (4, 3)),
    ([7, 5], (7, 5), (5, 7)),
    ([6], (6,), (6,)),
    (["batch", 2, 3, 4, 5, 6], (2, 3, 4, 5, 6), (6, 2, 3, 4, 5)),
]


@pytest.mark.parametrize(("sizes", "first", "last"), SIZES, ids=str)
def test_codes_have_the_channel_in_front_wherever_it_was(sizes, first, last):
    found = of(sizes)
    assert found.shape == first
    assert found.with_channel(found.channel_places()[-1]).shape == last


@pytest.mark.parametrize("rows", [1, 2])
@pytest.mark.parametrize("sizes", [sizes for sizes, *_ in SIZES], ids=str)
def test_what_goes_to_codes_comes_back_as_it_was(sizes, rows):
    array = example(sizes, rows)
    guess = of(sizes)
    for found in (guess.with_channel(place) for place in guess.channel_places()):
        there = found.opened().model("rows", ir.DataType.FLOAT, found.code_dimensions, opset=17)
        back = found.closed(layout.Chain("rows", ir.DataType.FLOAT, found.code_dimensions), opset=17)
        arranged = Session(there).run({"t": array})["rows"]
        assert arranged.shape[1:] == found.shape
        np.testing.assert_array_equal(arranged, found.rows(array))
        np.testing.assert_array_equal(Session(back).run({"rows": arranged})["t"], array)


@pytest.mark.parametrize(("data_type", "dtype"), [(ir.DataType.FLOAT16, np.float16), (ir.DataType.DOUBLE, np.float64)])
def test_other_floats_pass_through_float32(data_type, dtype):
    found = of(["batch", 3, 4], data_type)
    array = example(["batch", 3, 4], 2, np.float16).astype(dtype)
    there = found.opened().model("rows", ir.DataType.FLOAT, found.code_dimensions, opset=17)
    back = found.closed(layout.Chain("rows", ir.DataType.FLOAT, found.code_dimensions), opset=17)
    restored = Session(back).run(Session(there).run({"t": array}))["t"]
    assert restored.dtype == dtype
    np.testing.assert_array_equal(restored, array)


def test_a_layout_that_has_nothing_to_do_adds_no_operator():
    assert [
        node.op_type for node in of(["batch", 3, 4]).opened().then("Round").model("r", ir.DataType.FLOAT, (1,), opset=17).graph
    ] == ["Round"]


@pytest.mark.parametrize(
    ("sizes", "data_type", "message"),
    [
        (["batch", 3], ir.DataType.INT64, "tensor t at the cut is INT64.*only float and 8-bit tensors"),
        (["batch", 3], ir.DataType.BOOL, "tensor t at the cut is BOOL"),
        (["batch", 3, "width"], ir.DataType.FLOAT, "more than its batch is free"),
        (["batch", "batch"], ir.DataType.FLOAT, "more than its batch is free"),
        (["batch"], ir.DataType.FLOAT, "nothing but the batch would cross"),
        (["batch", None], ir.DataType.FLOAT, "more than its batch is free"),
        ([], ir.DataType.FLOAT, "more than its batch is free"),
    ],
)
def test_what_cannot_cross_is_refused_in_one_line(sizes, data_type, message):
    with pytest.raises(ExportError, match=message) as refused:
        of(sizes, data_type)
    assert "name another cut" in str(refused.value)
    assert "\n" not in str(refused.value)
