import re

import onnx_ir as ir
import pytest

from isthmus.export.cutting.refusal import why_no_cut

SEQUENCED = """
network (float[batch, 4] x) => (float[batch, 8] answer) {
    active = Relu (x)
    parts = SplitToSequence <axis = 1> (active)
    joined = ConcatFromSequence <axis = 1> (parts)
    answer = Concat <axis = 1> (joined, active)
}
"""


@pytest.mark.parametrize(
    ("network", "name", "reason"),
    [
        ("branched", "kept", r"inside a body of If \(node '.+'\).*'answer'"),
        ("skip", "w1", "is a weight"),
        ("skip", "x", "is an input"),
        ("skip", "answer", "is computed last"),
        ("shaped", "size", "from dimensions alone"),
    ],
)
def test_a_name_that_is_no_cut_gets_its_reason(handmade, network, name, reason):
    assert re.search(reason, why_no_cut(handmade[network].graph, name))


def test_a_name_the_model_does_not_have_gets_none(handmade):
    assert why_no_cut(handmade["skip"].graph, "nothing") is None


def test_a_sequence_that_would_cross_is_named(model_of):
    assert "'parts' (a sequence or an optional) would cross" in why_no_cut(model_of(SEQUENCED).graph, "parts")


def test_a_dead_end_is_named(handmade):
    graph = handmade["skip"].graph
    graph.append(ir.node("Neg", [graph.outputs[0]], name="dead"))
    assert "reaches no output" in why_no_cut(graph, "dead")
