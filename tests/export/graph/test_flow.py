import onnx_ir as ir
import pytest

from isthmus.export.graph import flow as graph


def names(values):
    return {value.name for value in values}


def test_shape_results_are_not_data(handmade):
    flow = graph.analyse(handmade["shaped"].graph)
    assert names(flow.shapes) == {"size", "target"}
    assert "flat" in names(flow.data)


def test_order_is_topological_and_leaves_out_shape_nodes(handmade):
    flow = graph.analyse(handmade["enlarged"].graph)
    assert [node.op_type for node in flow.order] == ["Conv", "Relu", "Resize"]


def test_a_node_that_reaches_no_output_is_left_out(model_of):
    model = model_of("n (float[batch, 4] x) => (float[batch, 4] y) { y = Relu (x) }")
    model.graph.append(ir.node("Neg", [model.graph.outputs[0]], name="dead"))
    assert [node.op_type for node in graph.analyse(model.graph).order] == ["Relu"]


def test_reads_counts_what_a_branch_captures(handmade):
    branch = next(node for node in handmade["branched"].graph if node.op_type == "If")
    assert names(graph.reads(branch)) == {"positive", "active", "first"}


def test_initialisers_among_the_inputs_are_not_fed(proto_of):
    proto = proto_of(
        "n (float[batch, 3, 8, 8] x, float[4] b1) => (float[batch, 4, 8, 8] y) { y = Conv <pads = [1, 1, 1, 1]> (x, w1, b1) }"
    )
    assert names(graph.data_inputs(ir.from_proto(proto).graph)) == {"x"}


@pytest.mark.parametrize(
    ("dtype", "shape", "size"),
    [
        (ir.DataType.FLOAT, ["batch", 3, 5], 60),
        (ir.DataType.INT4, ["batch", 5], 3),
        (ir.DataType.BOOL, [7], 7),
        (ir.DataType.FLOAT16, ["8*batch", 2], 32),
        (ir.DataType.FLOAT, ["batch", "width"], None),
        (ir.DataType.FLOAT, ["batch", None], None),
        (None, [1], None),
    ],
)
def test_size_bytes_is_packed_and_taken_at_batch_one(dtype, shape, size):
    value = ir.Value(name="v", shape=ir.Shape(shape), type=None if dtype is None else ir.TensorType(dtype))
    assert graph.size_bytes(value) == size


def test_ancestors_stop_where_told(handmade):
    values = {value.name: value for node in handmade["skip"].graph for value in node.outputs}
    found = graph.ancestors(values["sum"], stop_at={values["active"]})
    assert names(found) == {"sum", "active", "second", "w2", "b2"}
