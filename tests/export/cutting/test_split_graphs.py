"""Head then tail equals the whole at every cut of small graphs, each with one thing that can go wrong when it is cut."""

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from isthmus.export.cutting import cuts
from isthmus.export.cutting.split import split
from isthmus.export.graph import shapes
from isthmus.export.graph.flow import reads
from isthmus.export.graph.session import Session

ENCODER_DECODER = """
n (float[batch, 3, 8, 8] x) => (float[batch, 4, 8, 8] answer) {
    high = Conv <pads = [1, 1, 1, 1]> (x, w1, b1)
    low = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (high)
    middle = Conv <pads = [1, 1, 1, 1]> (low, w2, b2)
    size = Shape (high)
    grown = Resize <mode = "nearest"> (middle, , , size)
    joined = Concat <axis = 1> (grown, high)
    halves, others = Split <axis = 1> (joined)
    answer = Mul (halves, others)
}
"""

SHAPE_ARITHMETIC = """
n (float[batch, 3, 8, 8] x) => (float[batch, c, d] answer)
<int64 first = {0}, int64 second = {1}, int64[1] axis = {0}, int64[1] last = {-1}, int64 two = {2},
 int64[1] starts = {0}, int64[1] ends = {252}, int64[1] along = {1}> {
    one = Conv <pads = [1, 1, 1, 1]> (x, w1, b1)
    size = Shape (x)
    rows = Gather <axis = 0> (size, first)
    channels = Gather <axis = 0> (size, second)
    twice = Mul (channels, two)
    rows_1 = Unsqueeze (rows, axis)
    twice_1 = Unsqueeze (twice, axis)
    column = Concat <axis = 0> (rows_1, last)
    active = Relu (one)
    flat = Reshape (active, column)
    target = Concat <axis = 0> (rows_1, last, twice_1)
    positive = Sigmoid (flat)
    trimmed = Slice (positive, starts, ends, along)
    answer = Reshape (trimmed, target)
}
"""

EXPANDED = """
n (float[batch, tokens, 4] x) => (float[batch, tokens, 4] answer) <float[1, 1, 4] token = {0.5, -0.5, 1.0, 2.0}> {
    size = Shape (x)
    wide = Expand (token, size)
    first = Mul (x, x)
    sum = Add (first, wide)
    count = Size (x)
    number = Cast <to = 1> (count)
    answer = Div (sum, number)
}
"""

ATTENTION = """
n (float[batch, tokens, 4] x) => (float[batch, tokens, 4] answer)
<int64[1] zero = {0}, int64[1] one = {1}, int64[2] heads = {2, 2}, int64[1] four = {4}, float[4] gain = {1.0, 2.0, 0.5, -1.0}> {
    scaled = Mul (x, gain)
    size = Shape (scaled)
    rows = Gather <axis = 0> (size, zero)
    tokens = Gather <axis = 0> (size, one)
    apart = Concat <axis = 0> (rows, tokens, heads)
    split = Reshape (scaled, apart)
    query = Transpose <perm = [0, 2, 1, 3]> (split)
    key = Transpose <perm = [0, 2, 3, 1]> (split)
    scores = MatMul (query, key)
    weights = Softmax <axis = -1> (scores)
    mixed = MatMul (weights, query)
    back = Transpose <perm = [0, 2, 1, 3]> (mixed)
    together = Concat <axis = 0> (rows, tokens, four)
    joined = Reshape (back, together)
    answer = Add (joined, x)
}
"""

HEADS_IN_THE_BATCH = """
n (float[batch, 6, 4] x) => (float[batch, 6, 4] answer)
<int64[1] zero = {0}, int64[1] two = {2}, int64[2] flat = {6, 2}, int64[2] whole = {6, 4}> {
    first = Relu (x)
    size = Shape (first)
    rows = Gather <axis = 0> (size, zero)
    many = Mul (rows, two)
    apart = Concat <axis = 0> (many, flat)
    heads = Reshape (first, apart)
    wide = Shape (heads)
    active = Sigmoid (heads)
    noise = ConstantOfShape (wide)
    sum = Add (active, noise)
    together = Concat <axis = 0> (rows, whole)
    answer = Reshape (sum, together)
}
"""

CONDITION = """
n (float[batch, 3, 8, 8] x) => (float[batch, 4, 8, 8] answer) {
    first = Conv <pads = [1, 1, 1, 1]> (x, w1, b1)
    total = ReduceSum <keepdims = 0> (first)
    zero = Constant <value_float = 0.0> ()
    positive = Greater (total, zero)
    active = Relu (first)
    chosen = If (positive) <
        then_branch = yes () => (float[batch, 4, 8, 8] kept) { kept = Conv <pads = [1, 1, 1, 1]> (active, w2, b2) },
        else_branch = no () => (float[batch, 4, 8, 8] other) { size = Shape (x) number = Size (x) f = Cast <to = 1> (number)
            other = Mul (first, f) }
    >
    answer = Relu (chosen)
}
"""

LOOPED = """
n (float[batch, 3, 8, 8] x) => (float[batch, 4, 8, 8] answer) <int64 turns = {3}, bool going = {1}> {
    first = Conv <pads = [1, 1, 1, 1]> (x, w1, b1)
    active = Relu (first)
    looped = Loop (turns, going, active) <body = turn (int64 number, bool on, float[batch, 4, 8, 8] state)
        => (bool still, float[batch, 4, 8, 8] next) {
            still = Identity (on)
            grown = Conv <pads = [1, 1, 1, 1]> (state, w2, b2)
            next = Add (grown, first)
        }>
    answer = Sigmoid (looped)
}
"""

SCANNED = """
n (float[batch, 6, 4] x) => (float[batch, 6, 4] answer)
<int64[1] axis = {0}, int64[1] one = {1}, float[4] gain = {1.0, -1.0, 0.5, 2.0}> {
    active = Relu (x)
    first = Transpose <perm = [1, 0, 2]> (active)
    start = ReduceSum <keepdims = 0> (first, axis)
    sums, steps = Scan <num_scan_inputs = 1, body = turn (float[batch, 4] sum, float[batch, 4] row)
        => (float[batch, 4] next, float[batch, 4] step) {
            next = Add (sum, row)
            step = Mul (next, gain)
        }> (start, first)
    back = Transpose <perm = [1, 0, 2]> (steps)
    wide = Unsqueeze (sums, one)
    answer = Add (back, wide)
}
"""

SHARED = """
n (float[batch, 4, 8, 8] x) => (float[batch, 4, 8, 8] answer) {
    first = Conv <pads = [1, 1, 1, 1]> (x, w2, b2)
    active = Relu (first)
    second = Conv <pads = [1, 1, 1, 1]> (active, w2, b2)
    answer = Tanh (second)
}
"""

QUANTISED = """
n (float[batch, 3, 8, 8] x) => (float[batch, 4, 8, 8] answer)
<float scale = {0.05}, uint8 zero = {128}, float fine = {0.01}, int8 none = {0}> {
    codes = QuantizeLinear (x, scale, zero)
    restored = DequantizeLinear (codes, scale, zero)
    narrow = QuantizeLinear (w1, fine, none)
    weight = DequantizeLinear (narrow, fine, none)
    first = Conv <pads = [1, 1, 1, 1]> (restored, weight, b1)
    first_codes = QuantizeLinear (first, scale, zero)
    first_values = DequantizeLinear (first_codes, scale, zero)
    dynamic, step, offset = DynamicQuantizeLinear (first_values)
    values = DequantizeLinear (dynamic, step, offset)
    answer = Add (values, first_values)
}
"""

SEVERAL_OUTPUTS = """
n (float[batch, 3, 8, 8] x, float[batch, 4, 8, 8] gain)
=> (float[batch, 4, 8, 8] early, int64[4] size, float[batch, 4] late, float[batch, 4, 8, 8] gained) {
    early = Conv <pads = [1, 1, 1, 1]> (x, w1, b1)
    size = Shape (early)
    active = Relu (early)
    gained = Mul (active, gain)
    mean = GlobalAveragePool (gained)
    late = Flatten (mean)
}
"""

DATA_DEPENDENT = """
n (float[batch, 6] x) => (float[kept] answer, int64[batch, 2] places) <int64[1] two = {2}, float half = {0.5}> {
    active = Relu (x)
    large = Greater (active, half)
    found = NonZero (large)
    turned = Transpose (found)
    values = GatherND (active, turned)
    count = Shape (values)
    best, places = TopK (active, two)
    number = Cast <to = 1> (count)
    answer = Mul (values, number)
}
"""

HANDED_THROUGH = """
n (float[batch, 4] x, float[batch, 4] y) => (float[batch, 4] x, float[batch, 4] last, float[4] constant)
<float[4] constant = {1.0, 2.0, 3.0, 4.0}> {
    first = Relu (x)
    second = Add (first, constant)
    last = Mul (second, y)
}
"""

GRAPHS = {
    "encoder_decoder": ENCODER_DECODER,
    "shape_arithmetic": SHAPE_ARITHMETIC,
    "expanded": EXPANDED,
    "attention": ATTENTION,
    "heads_in_the_batch": HEADS_IN_THE_BATCH,
    "condition": CONDITION,
    "looped": LOOPED,
    "scanned": SCANNED,
    "shared": SHARED,
    "quantised": QUANTISED,
    "several_outputs": SEVERAL_OUTPUTS,
    "data_dependent": DATA_DEPENDENT,
    "handed_through": HANDED_THROUGH,
}


def feeds(model, rows):
    """Arrays of every sign, a free dimension has 5."""
    generator = np.random.default_rng(3)
    inputs = [value for value in model.graph.inputs if not value.is_initializer()]
    shapes = {
        value.name: [size if isinstance(size, int) else rows if size.value == "batch" else 5 for size in value.shape]
        for value in inputs
    }
    return {name: generator.normal(0, 1, shape).astype(np.float32) for name, shape in shapes.items()}


def measured(model):
    """The model with the shapes that inference leaves open, as after a door."""
    shapes.measure(model, feeds(model, 1), feeds(model, 2))
    return model


@pytest.mark.parametrize("opset", [17, 13])
@pytest.mark.parametrize("name", GRAPHS)
def test_head_then_tail_equals_the_whole_at_every_cut_and_batch(model_of, name, opset):
    model = measured(model_of(GRAPHS[name], opset=opset))
    whole = Session(model, optimised=False)
    for cut in cuts.enumerate(model):
        halves = split(model, cut)
        for half in (halves.head, halves.tail):
            onnx.checker.check_model(ir.to_proto(half), full_check=True)
        head, tail = (Session(half, optimised=False) for half in (halves.head, halves.tail))
        for rows in (1, 3):
            given = feeds(model, rows)
            want = whole.run(given)
            got = tail.run(given | head.run(given))
            assert list(got) == list(want)
            assert all(np.array_equal(got[key], want[key], equal_nan=True) for key in want), cut


@pytest.mark.parametrize("name", GRAPHS)
def test_no_shape_crosses_that_the_tail_can_tell_from_what_it_has(model_of, name):
    model = measured(model_of(GRAPHS[name]))
    assert [halves.auxiliary for halves in (split(model, cut) for cut in cuts.enumerate(model))] == [()] * len(
        cuts.enumerate(model)
    )


@pytest.mark.parametrize("name", GRAPHS)
def test_a_weight_lies_in_both_halves_only_where_both_read_it(model_of, name):
    model = measured(model_of(GRAPHS[name]))
    for cut in cuts.enumerate(model):
        halves = split(model, cut)
        sides = [set(half.graph.initializers) & set(model.graph.initializers) for half in (halves.head, halves.tail)]
        readers = [{name for node in half.graph for name in names_read(node)} for half in (halves.head, halves.tail)]
        handed = {value.name for value in halves.tail.graph.outputs}
        assert sides[0] <= readers[0]
        assert sides[1] <= readers[1] | handed


def names_read(node):
    return {value.name for value in reads(node)}
