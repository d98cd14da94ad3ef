import numpy as np
import pytest

from isthmus.export.cutting import cuts
from isthmus.export.cutting.reroot import Dimension, survey
from isthmus.export.cutting.split import split
from isthmus.export.graph.session import Session


def network(question):
    """Asks `question` of the input behind another tensor, which alone crosses."""
    return f"""
n (float[batch, 3, height, 8] x) => (float[a] y)
<int64[1] zero = {{0}}, int64 one = {{1}}, int64[2] ends = {{2, 0}}, int64[1] three = {{3}}, int64[1] last = {{-1}}> {{
    first = Neg (x)
    size = Shape (x)
    {question}
    active = Relu (first)
    wanted = Reshape (answer, last)
    number = Cast <to = 1> (wanted)
    flat = Reshape (active, last)
    whole = ReduceSum (flat)
    y = Mul (whole, number)
}}
"""


HIDDEN = "n (float[batch, 4] x) => (int64[2] y, float[batch, 4] z) { h = Relu (x) k = Neg (h) y = Shape (h) z = Exp (k) }"

QUESTIONS = {
    "all": "answer = Identity (size)",
    "one": "answer = Gather <axis = 0> (size, zero)",
    "scalar": "answer = Gather <axis = 0> (size, one)",
    "several": "answer = Gather <axis = 0> (size, ends)",
    "slice": "answer = Slice (size, zero, three)",
    "slice from the end": "answer = Slice (size, last, three, zero)",
    "number of elements": "answer = Size (x)",
    "arithmetic": "rows = Gather <axis = 0> (size, zero)\n    answer = Mul (rows, three)",
}


@pytest.mark.parametrize("opset", [17, 13])
@pytest.mark.parametrize("question", QUESTIONS)
def test_the_tail_answers_for_itself_what_it_asks_of_the_input(model_of, question, opset):
    model = model_of(network(QUESTIONS[question]), opset=opset)
    halves = split(model, cuts.find(cuts.enumerate(model), "active"))
    assert halves.auxiliary == ()
    assert [value.name for value in halves.tail.graph.inputs] == ["active"]
    for rows, height in ((1, 8), (3, 5)):
        feeds = {"x": np.random.default_rng(0).random((rows, 3, height, 8), np.float32)}
        crossing = Session(halves.head).run(feeds)
        (want,), (got,) = Session(model).run(feeds).values(), Session(halves.tail).run(crossing).values()
        np.testing.assert_array_equal(got, want)


def test_a_size_that_nothing_has_crosses_whole(model_of):
    model = model_of(network("answer = Gather <axis = 0> (size, ends)").replace("Neg (x)", "MaxPool <kernel_shape = [2, 2]> (x)"))
    assert split(model, cuts.find(cuts.enumerate(model), "active")).auxiliary == ("size",)


@pytest.mark.parametrize(
    ("asked", "has", "times", "over"), [("8*batch", "batch", 8, 1), ("batch", "8*batch", 1, 8), ("6*batch", "4*batch", 3, 2)]
)
def test_a_multiple_is_read_off_another_multiple(model_of, asked, has, times, over):
    model = model_of(HIDDEN)
    values = {value.name: value for node in model.graph for value in node.outputs}
    values["h"].shape, values["k"].shape = type(values["h"].shape)([asked]), type(values["h"].shape)([has])
    (root,), crossing = survey(model.graph, {values["h"]}, [values["k"]])
    assert root.elements == (Dimension(value=values["k"], axis=0, times=times, over=over),)
    assert crossing == []


@pytest.mark.parametrize(("asked", "has"), [("batch + 1", "batch"), ("batch", "batch + 1"), ("batch", "rows"), (None, "batch")])
def test_what_is_no_multiple_of_the_same_name_is_not_read(model_of, asked, has):
    model = model_of(HIDDEN)
    values = {value.name: value for node in model.graph for value in node.outputs}
    values["h"].shape, values["k"].shape = type(values["h"].shape)([asked]), type(values["h"].shape)([has])
    roots, crossing = survey(model.graph, {values["h"]}, [values["k"]])
    assert (roots, [value.name for value in crossing]) == ([], ["y"])
