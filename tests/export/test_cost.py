import onnx_ir as ir
import pytest

from isthmus.export import cost


def flops(model_of, body, inputs="float[batch, 3, 8, 8] x", output="float[batch, 4, 8, 8] y"):
    model = model_of(f"n ({inputs}) => ({output}) {{ y = {body} }}")
    return cost.of_graph(model.graph).flops


def test_convolution_counts_two_per_multiply_add(model_of):
    assert flops(model_of, "Conv <pads = [1, 1, 1, 1]> (x, w1, b1)") == 2 * 4 * 8 * 8 * 3 * 3 * 3


def test_groups_divide_the_work():
    x = ir.Value(name="x", shape=ir.Shape(["batch", 8, 4, 4]), type=ir.TensorType(ir.DataType.FLOAT))
    w = ir.Value(name="w", shape=ir.Shape([8, 1, 3, 3]), type=ir.TensorType(ir.DataType.FLOAT))
    node = ir.node("Conv", [x, w], attributes={"group": 8})
    node.outputs[0].shape = ir.Shape(["batch", 8, 4, 4])
    assert cost.node_flops(node) == 2 * 8 * 4 * 4 * 9


def test_transposed_convolution_counts_its_input(model_of):
    count = flops(
        model_of, "ConvTranspose <strides = [2, 2]> (x, w2, b2)", "float[batch, 4, 5, 5] x", "float[batch, 4, 11, 11] y"
    )
    assert count == 2 * 4 * 5 * 5 * 4 * 9


def test_gemm_counts_its_inner_dimension(model_of):
    assert flops(model_of, "Gemm <transB = 1> (x, w3, b3)", "float[batch, 8] x", "float[batch, 5] y") == 2 * 8 * 5


def test_batched_matrix_product_counts_every_matrix(model_of):
    inputs = "float[batch, 6, 7, 8] x, float[batch, 6, 8, 9] z"
    assert flops(model_of, "MatMul (x, z)", inputs, "float[batch, 6, 7, 9] y") == 2 * 6 * 7 * 9 * 8


def test_attention_counts_two_products():
    sizes = {"q": [1, 2, 10, 16], "k": [1, 2, 12, 16], "v": [1, 2, 12, 16]}
    values = [ir.Value(name=name, shape=ir.Shape(size), type=ir.TensorType(ir.DataType.FLOAT)) for name, size in sizes.items()]
    assert cost.node_flops(ir.node("Attention", values)) == 2 * (2 * 2 * 10 * 12 * 16)


def test_elementwise_operators_are_free(model_of):
    assert flops(model_of, "Sigmoid (x)", output="float[batch, 3, 8, 8] y") == 0


def test_a_branch_counts_its_dearer_body(model_of):
    dear = "yes () => (float[6, 6] a) { t = MatMul (x, x) a = MatMul (t, x) }"
    cheap = "no () => (float[6, 6] b) { b = MatMul (x, x) }"
    branch = f"y = If (c) <then_branch = {dear}, else_branch = {cheap}>"
    (node,) = model_of(f"n (float[6, 6] x, bool c) => (float[6, 6] y) {{ {branch} }}").graph
    assert cost.node_flops(node) == 2 * (2 * 6**3)


def test_parameters_are_weights_and_not_shapes(handmade):
    found = cost.of_graph(handmade["shaped"].graph)
    assert found.parameters == 4 * 3 * 64 + 4 + 5 * 4 + 5
    assert found.parameter_bytes == 4 * found.parameters


@pytest.mark.parametrize(("dtype", "size"), [(ir.DataType.INT8, 9), (ir.DataType.INT4, 5), (ir.DataType.INT64, 0)])
def test_quantised_weights_count_and_indices_do_not(dtype, size):
    value = ir.Value(name="w", shape=ir.Shape([9]), type=ir.TensorType(dtype))
    value.const_value = ir.tensor([1] * 9, dtype=dtype, name="w")
    graph = ir.Graph([], [], nodes=[], initializers=[value])
    assert cost.parameter_bytes(graph.initializers["w"]) == size
