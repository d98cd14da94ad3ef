import onnx_ir as ir
import pytest

from isthmus.export.graph import cost


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


def made(operator, inputs, output=None, **attributes):
    """A node whose inputs and output have sizes and nothing else."""
    values = [
        ir.Value(name=f"v{index}", shape=ir.Shape(size), type=ir.TensorType(ir.DataType.FLOAT))
        for index, size in zip(range(len(inputs)), inputs, strict=True)
    ]
    node = ir.node(operator, values, attributes=attributes)
    node.outputs[0].shape = None if output is None else ir.Shape(output)
    return node


@pytest.mark.parametrize(
    ("inputs", "output", "count"),
    [
        ([[1, 2, 10, 16], [1, 2, 12, 16], [1, 2, 12, 16]], None, 2 * (2 * 2 * 10 * 12 * 16)),
        ([[1, 10, 32], [1, 12, 32], [1, 12, 48]], [1, 10, 48], 2 * 10 * 12 * (32 + 48)),
        ([["batch", 4, 10, 16], ["batch", 2, 12, 16], ["batch", 2, 12, 8]], ["batch", 4, 10, 8], 2 * 4 * 10 * 12 * (16 + 8)),
    ],
)
def test_attention_counts_two_products(inputs, output, count):
    assert cost.node_flops(made("Attention", inputs, output)) == count


def test_fused_attention_counts_its_projection_too():
    node = made("Attention", [[1, 10, 16], [16, 48]], [1, 10, 16])
    node.domain = "com.microsoft"
    assert cost.node_flops(node) == 2 * 10 * 16 * 48 + 4 * 10 * 10 * 16


@pytest.mark.parametrize(
    ("equation", "inputs", "count"),
    [
        ("bhqd,bhkd->bhqk", [["batch", 2, 5, 8], ["batch", 2, 7, 8]], 2 * 2 * 5 * 7 * 8),
        ("ij, jk", [[3, 4], [4, 5]], 2 * 3 * 4 * 5),
        ("...ij,...jk->...ik", [[6, 3, 4], [6, 4, 5]], 2 * 6 * 3 * 4 * 5),
        ("...ij,jk->...ik", [[6, 3, 4], [4, 5]], 2 * 6 * 3 * 4 * 5),
        ("ij,jk,kl->il", [[3, 4], [4, 5], [5, 6]], 2 * 3 * 4 * 5 + 2 * 3 * 5 * 6),
        ("bi,bi->bi", [[2, 4], [2, 4]], 0),
        ("ij->ji", [[3, 4]], 0),
        ("ij,jk->ik", [[3, 4], [4, "free"]], 0),
    ],
)
def test_an_einstein_sum_counts_each_combination_of_indices(equation, inputs, count):
    assert cost.node_flops(made("Einsum", inputs, equation=equation)) == count


def test_a_quantised_convolution_counts_as_the_float_one():
    codes = made("QLinearConv", [[1, 3, 8, 8], [], [], [4, 3, 3, 3], [], [], [], []], [1, 4, 8, 8])
    assert cost.node_flops(codes) == 2 * 4 * 64 * 27


def test_a_quantised_matrix_product_counts_as_the_float_one():
    codes = made("QLinearMatMul", [["batch", 6, 8], [], [], [8, 9], [], [], [], []], ["batch", 6, 9])
    assert cost.node_flops(codes) == 2 * 6 * 8 * 9


def test_a_dynamically_quantised_product_counts_as_the_float_one(model_of):
    body = """
        codes, scale, zero = DynamicQuantizeLinear (x)
        product = MatMulInteger (codes, weight, zero)
        y = Cast <to = 1> (product)
    """
    model = model_of(f"n (float[batch, 6, 8] x, int8[8, 9] weight) => (float[batch, 6, 9] y) {{ {body} }}")
    assert cost.of_graph(model.graph).flops == 2 * 6 * 8 * 9


@pytest.mark.parametrize(("operator", "gates"), [("LSTM", 4), ("GRU", 3), ("RNN", 1)])
def test_a_recurrent_cell_counts_both_its_products_at_every_step(operator, gates):
    node = made(operator, [[7, "batch", 5], [2, gates * 6, 5], [2, gates * 6, 6]])
    assert cost.node_flops(node) == 2 * 7 * 2 * gates * 6 * (5 + 6)


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
