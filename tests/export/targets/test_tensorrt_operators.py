import onnx_ir as ir
import pytest

from isthmus.export.targets.tensorrt_operators import LEAST_OPSET, NEWEST_OPSET, SUPPORTED, restriction


def node_of(operator, ranks=(4,), outputs=1, **attributes):
    """A node with free inputs of these ranks, every output read."""
    values = [
        ir.Value(name=f"v{index}", shape=ir.Shape([None] * rank)) for index, rank in zip(range(len(ranks)), ranks, strict=True)
    ]
    node = ir.node(operator, values, attributes=attributes, num_outputs=outputs)
    for output in node.outputs:
        ir.node("Relu", [output])
    return node


def test_the_list_is_that_of_its_edition():
    assert (LEAST_OPSET, NEWEST_OPSET, len(SUPPORTED)) == (9, 24, 158)
    assert {"Conv", "LayerNormalization", "NonMaxSuppression", "GridSample"} <= SUPPORTED
    assert not {"QLinearConv", "ConvInteger", "DynamicQuantizeLinear", "Unique", "Compress", "BitShift"} & SUPPORTED


@pytest.mark.parametrize(
    ("node", "reason"),
    [
        (node_of("MaxPool", (4,), outputs=2), "indices"),
        (node_of("MaxPool", (3,)), "2 or 3 dimensions only, this one in 1"),
        (node_of("AveragePool", (4,), dilations=[2, 2]), "dilations"),
        (node_of("Resize", (4,), mode="cubic"), "not cubic"),
        (node_of("Resize", (4,), coordinate_transformation_mode="tf_crop_and_resize"), "not tf_crop_and_resize"),
        (node_of("Resize", (4,), antialias=1), "antialias"),
        (node_of("TopK", (2, 1), sorted=0), "sorted"),
        (node_of("ReduceSum", (4, 1)), "axes must be a constant"),
        (node_of("Unsqueeze", (4, 1)), "axes must be a constant"),
        (node_of("ScatterND", (4, 2, 2), reduction="add"), "not add"),
        (node_of("LayerNormalization", (3, 1), outputs=2), "first output only"),
        (node_of("LSTM", (3, 3, 3), layout=1), "layout must be 0"),
        (node_of("Attention", (3, 3, 3)), "4 dimensions"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.op_type,
)
def test_a_restriction_is_found(node, reason):
    assert reason in restriction(node)


@pytest.mark.parametrize(
    "node",
    [
        node_of("Conv", (4, 4)),
        node_of("MaxPool", (4,)),
        node_of("Resize", (4,), mode="linear", coordinate_transformation_mode="align_corners"),
        node_of("TopK", (2, 1)),
        node_of("LayerNormalization", (3, 1)),
        node_of("ReduceMean", (4,)),
        node_of("LSTM", (3, 3, 3)),
        node_of("Attention", (4, 4, 4)),
    ],
    ids=lambda node: node.op_type,
)
def test_what_the_list_allows_is_let_through(node):
    assert restriction(node) is None
