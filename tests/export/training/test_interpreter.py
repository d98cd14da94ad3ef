import numpy as np
import onnx
import onnx_ir as ir
import pytest
import torch

from isthmus.errors import ExportError
from isthmus.export.doors import examples
from isthmus.export.graph.session import Session, relative_difference
from isthmus.export.training.interpreter import OnnxModule

MAP = "float[batch, 4, 9, 7] x"

# What stands between the braces, with `y` as the answer; `x` is a map of 4 channels with values around zero.
BODIES = [
    "y = Conv <pads = [1, 1, 1, 1]> (x, w2, b2)",
    "y = Conv <strides = [2, 3], pads = [0, 1, 2, 1], dilations = [2, 1]> (x, w2)",
    'y = Conv <auto_pad = "SAME_UPPER", strides = [2, 2]> (x, w2, b2)',
    'y = Conv <auto_pad = "SAME_LOWER", strides = [2, 2]> (x, w2, b2)',
    'y = Conv <auto_pad = "VALID"> (x, w2, b2)',
    "y = Conv <group = 4> (x, wd, b2)",
    "y = ConvTranspose <strides = [2, 2], pads = [1, 1, 1, 1], output_padding = [1, 1]> (x, w2, b2)",
    "y = ConvTranspose <strides = [3, 2], pads = [0, 1, 2, 0], dilations = [1, 2]> (x, w2, b2)",
    "y = ConvTranspose <strides = [3, 3], output_padding = [2, 1]> (x, w2, b2)",
    'y = ConvTranspose <strides = [2, 2], auto_pad = "SAME_UPPER"> (x, w2, b2)',
    'y = ConvTranspose <strides = [2, 2], auto_pad = "SAME_LOWER"> (x, w2, b2)',
    "y = ConvTranspose <strides = [2, 2], output_shape = [18, 14]> (x, w2, b2)",
    "y = ConvTranspose <group = 4, strides = [2, 2]> (x, wd, b2)",
    "y = BatchNormalization <epsilon = 0.01> (x, b2, b2, b2, var)",
    "y = InstanceNormalization (x, b2, b2)",
    "y = LayerNormalization <axis = -1> (x, s7, s7)",
    "y = LayerNormalization <axis = 2, epsilon = 0.1> (x, s97)",
    "y = Relu (x)",
    "y = LeakyRelu <alpha = 0.3> (x)",
    "y = PRelu (x, slope)",
    "y = Elu <alpha = 0.7> (x)",
    "y = Clip (x, low, high)",
    "y = Clip (x, , high)",
    "y = Clip (x, high, low)",
    "y = Sigmoid (x)",
    "y = HardSigmoid <alpha = 0.3> (x)",
    "y = HardSwish (x)",
    "y = Tanh (x)",
    "y = Erf (x)",
    "y = Softplus (x)",
    "y = Softsign (x)",
    "y = Softmax <axis = 1> (x)",
    "y = LogSoftmax <axis = -1> (x)",
    "y = MaxPool <kernel_shape = [3, 3], strides = [2, 2], pads = [1, 1, 1, 1]> (x)",
    "y = MaxPool <kernel_shape = [2, 2], strides = [2, 2], ceil_mode = 1> (x)",
    'y = MaxPool <kernel_shape = [3, 2], strides = [2, 2], auto_pad = "SAME_UPPER"> (x)',
    "y = MaxPool <kernel_shape = [3, 3], dilations = [2, 2]> (x)",
    "y = AveragePool <kernel_shape = [3, 3], strides = [2, 2], pads = [1, 1, 1, 1]> (x)",
    "y = AveragePool <kernel_shape = [3, 3], pads = [1, 1, 1, 1], count_include_pad = 1> (x)",
    "y = AveragePool <kernel_shape = [2, 2], strides = [2, 2], ceil_mode = 1> (x)",
    'y = AveragePool <kernel_shape = [3, 3], strides = [2, 2], auto_pad = "SAME_LOWER"> (x)',
    "y = GlobalAveragePool (x)",
    "y = GlobalMaxPool (x)",
    "y = ReduceMean <axes = [2, 3], keepdims = 0> (x)",
    "y = ReduceMean (x)",
    "y = ReduceSum <keepdims = 0> (x, axes)",
    "y = ReduceMax <axes = [1]> (x)",
    "y = ReduceMin <axes = [-1]> (x)",
    "y = ReduceL2 <axes = [1], keepdims = 0> (x)",
    "y = ReduceL1 <axes = [1]> (x)",
    "y = ReduceSumSquare <axes = [2]> (x)",
    "y = ReduceProd <axes = [2, 3]> (x)",
    "y = Add (x, slope)",
    "y = Sub (x, slope)",
    "y = Mul (x, x)",
    "y = Div (x, high)",
    "a = Abs (x) y = Sqrt (a)",
    "y = Neg (x)",
    "y = Pow (x, three)",
    "a = Exp (x) y = Log (a)",
    "a = Add (x, high) b = Abs (a) y = Reciprocal (b)",
    "a = Floor (x) b = Ceil (x) c = Round (x) d = Sign (x) y = Sum (a, b, c, d)",
    "a = Sin (x) b = Cos (x) c = Min (a, b) y = Max (c, slope)",
    "a = Greater (x, low) b = Less (x, high) c = And (a, b) d = Not (c) y = Where (d, x, high)",
    "a = Equal (x, x) b = Or (a, a) y = Cast <to = 1> (b)",
    "y = Concat <axis = 1> (x, x)",
    "y = Flatten (x)",
    "y = Flatten <axis = 3> (x)",
    "y = Reshape (x, keep)",
    "y = Transpose <perm = [0, 2, 3, 1]> (x)",
    "a = Unsqueeze (x, axes) y = Squeeze (a, axes)",
    "y = Identity (x)",
    "y = Dropout (x)",
    "y = Pad (x, pads)",
    'y = Pad <mode = "reflect"> (x, pads)',
    'y = Pad <mode = "edge"> (x, pads)',
    "y = Pad (x, pads, high)",
    "a = Shape (x) i = Gather <axis = 0> (a, one) f = Cast <to = 1> (i) y = Mul (x, f)",
    "a = Shape <start = 1, end = -1> (x) f = Cast <to = 1> (a) y = ReduceSum (f)",
    "a = Size (x) y = Cast <to = 1> (a)",
    "y = Gather <axis = 1> (x, pick)",
    "y = Slice (x, from, until, along, step)",
    "y = Slice (x, last, first, along, back)",
    "a, b = Split <axis = 1> (x) y = Sub (a, b)",
    "a, b = Split <axis = 1> (x, parts) y = Add (a, b)",
    "y = Expand (slope, wide)",
    "y = Tile (x, twice)",
    "a = ConstantOfShape <value = float[1] {2.5}> (wide) y = Add (x, a)",
    "a = Constant <value = float[7] {1, 2, 3, 4, 5, 6, 7}> () y = Mul (x, a)",
    'y = Resize <mode = "nearest", coordinate_transformation_mode = "asymmetric", nearest_mode = "floor"> (x, , scales)',
    'y = Resize <mode = "nearest"> (x, , scales)',
    'y = Resize <mode = "linear"> (x, , scales)',
    'y = Resize <mode = "linear", coordinate_transformation_mode = "align_corners"> (x, , scales)',
    'y = Resize <mode = "linear", coordinate_transformation_mode = "pytorch_half_pixel"> (x, , scales)',
    "y = DepthToSpace <blocksize = 2> (x)",
    'y = DepthToSpace <blocksize = 2, mode = "CRD"> (x)',
    "a = Pad (x, odd) y = SpaceToDepth <blocksize = 2> (a)",
    "y = MatMul (x, m)",
    "a = Flatten <axis = 3> (x) y = Gemm <alpha = 0.5, beta = 2.0> (a, m, s3)",
    "y = ArgMax <axis = 1, keepdims = 0> (x)",
    "a = QuantizeLinear (x, scale, zero) y = DequantizeLinear (a, scale, zero)",
    "a = QuantizeLinear (x, scale) y = DequantizeLinear (a, scale)",
    "a = QuantizeLinear <axis = 1> (x, var, zeros) y = DequantizeLinear <axis = 1> (a, var, zeros)",
]

EXTRA = {
    "wd": np.linspace(-1, 1, 36, dtype=np.float32).reshape(4, 1, 3, 3),
    "var": np.array([0.5, 1, 2, 3], np.float32),
    "slope": np.array([0.1, 0.2, 0.3, 0.4], np.float32).reshape(4, 1, 1),
    "s7": np.linspace(0.5, 1.5, 7, dtype=np.float32),
    "s97": np.linspace(0.5, 1.5, 63, dtype=np.float32).reshape(9, 7),
    "s3": np.array([1, 2, 3], np.float32),
    "m": np.linspace(-1, 1, 21, dtype=np.float32).reshape(7, 3),
    "low": np.array(-0.2, np.float32),
    "high": np.array(0.4, np.float32),
    "three": np.array(3, np.float32),
    "one": np.array(1, np.int64),
    "axes": np.array([1], np.int64),
    "keep": np.array([0, -1, 7], np.int64),
    "pads": np.array([0, 0, 1, 2, 0, 0, 2, 1], np.int64),
    "odd": np.array([0, 0, 0, 0, 0, 0, 1, 1], np.int64),
    "pick": np.array([[0, -1], [2, 1]], np.int64),
    "from": np.array([1, -5], np.int64),
    "until": np.array([100, -1], np.int64),
    "along": np.array([2, 3], np.int64),
    "step": np.array([2, 1], np.int64),
    "last": np.array([-1, 100], np.int64),
    "first": np.array([-100, 2], np.int64),
    "back": np.array([-1, -2], np.int64),
    "parts": np.array([2, 2], np.int64),
    "wide": np.array([2, 1, 9, 7], np.int64),
    "twice": np.array([1, 1, 1, 1], np.int64) * [1, 1, 2, 1],
    "scales": np.array([1, 1, 2, 1.5], np.float32),
    "scale": np.array(0.05, np.float32),
    "zero": np.array(3, np.int8),
    "zeros": np.zeros(4, np.int8),
}


def whole_model(body, answer="float", opset=17):
    """An ONNX model of one input around a body, with the weights it names."""
    proto = onnx.parser.parse_model(
        f'<ir_version: 8, opset_import: ["" : {opset}]> n ({MAP}) => ({answer}[...] y) {{ {body} }}'.replace("[...]", "")
    )
    generator = np.random.default_rng(3)
    weights = EXTRA | {"w2": generator.normal(0, 0.3, (4, 4, 3, 3)), "b2": generator.normal(0, 0.3, 4)}
    read = {name for node in proto.graph.node for name in node.input}
    proto.graph.initializer.extend(
        onnx.numpy_helper.from_array(value.astype(np.float32) if value.dtype.kind == "f" else value, name)
        for name, value in weights.items()
        if name in read
    )
    for output in proto.graph.output:
        output.type.tensor_type.ClearField("shape")
    return ir.from_proto(proto)


def differences(model, x):
    with torch.no_grad():
        got = OnnxModule(model)(torch.from_numpy(x))
    return relative_difference([got.numpy()], list(Session(model).run({"x": x}).values()))


@pytest.mark.parametrize("body", BODIES)
def test_an_operator_equals_onnxruntime(body):
    x = np.random.default_rng(5).normal(0, 1, (2, 4, 9, 7)).astype(np.float32)
    answer = "int64" if "ArgMax" in body else "float"
    assert differences(whole_model(body, answer), x) <= 1e-5


@pytest.mark.parametrize(
    ("body", "opset"),
    [
        ("y = Softmax <axis = 2> (x)", 11),
        ("y = Clip <min = -0.1, max = 0.2> (x)", 9),
        ("y = Slice <axes = [2, 3], starts = [1, 0], ends = [4, -1]> (x)", 9),
        ("y = Pad <pads = [0, 0, 1, 1, 0, 0, 1, 1], value = 0.5> (x)", 9),
        ("a = Unsqueeze <axes = [0, 2]> (x) y = Squeeze <axes = [0, 2]> (a)", 11),
        ("a, b = Split <axis = 1, split = [1, 3]> (x) y = Add (a, b)", 11),
        ("y = ReduceSum <axes = [1]> (x)", 11),
        ("y = ReduceMean (x, axes)", 18),
        ("y = Gelu (x)", 20),
        ('y = Gelu <approximate = "tanh"> (x)', 20),
        ("y = Mish (x)", 18),
    ],
)
def test_operators_mean_what_their_opset_says(body, opset):
    x = np.random.default_rng(5).normal(0, 1, (2, 4, 9, 7)).astype(np.float32)
    assert differences(whole_model(body, opset=opset), x) <= 1e-5


@pytest.mark.parametrize("name", ["skip", "shaped", "enlarged", "two_inputs"])
def test_a_whole_model_equals_onnxruntime(handmade, name):
    module = OnnxModule(handmade[name])
    feeds = examples.made(handmade[name].graph, rows=3, size=10)
    with torch.no_grad():
        got = module(*(torch.from_numpy(feeds[each]) for each in module.input_names))
    got = [each.numpy() for each in (got if isinstance(got, tuple) else (got,))]
    assert relative_difference(got, list(Session(handmade[name]).run(feeds).values())) <= 1e-5


def test_a_torch_network_is_given_back(residual_source):
    x = torch.rand(3, 3, 16, 16)
    with torch.no_grad():
        torch.testing.assert_close(OnnxModule(residual_source.model)(x), residual_source.torch_module(x), rtol=1e-4, atol=1e-5)


def test_gradients_reach_the_input(residual_source):
    x = torch.rand(2, 3, 16, 16)
    ours, theirs = x.clone().requires_grad_(), x.clone().requires_grad_()
    OnnxModule(residual_source.model)(ours).square().sum().backward()
    residual_source.torch_module(theirs).square().sum().backward()
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-3, atol=1e-5)


def test_weights_train_only_when_asked(handmade):
    frozen, free = OnnxModule(handmade["skip"]), OnnxModule(handmade["skip"], trainable=handmade["skip"].graph.initializers)
    assert list(frozen.parameters()) == []
    free(torch.rand(2, 3, 8, 8)).sum().backward()
    assert all(weight.grad is not None for weight in free.parameters())
    assert set(free.weights()) == {"w1", "b1", "w2", "b2", "w3", "b3"}


def test_weights_stand_in_the_order_of_reading_whatever_the_order_of_the_file(handmade):
    model, other = handmade["skip"], handmade["skip"].clone()
    turned = list(other.graph.initializers.values())[::-1]
    other.graph.initializers.clear()
    other.graph.initializers.update({value.name: value for value in turned})
    assert list(other.graph.initializers) != list(model.graph.initializers)
    names = [[name for name, _ in OnnxModule(one, trainable=one.graph.initializers).named_parameters()] for one in (model, other)]
    assert names[0] == names[1] == [f"weight_{name}" for name in ("w1", "b1", "w2", "b2", "w3", "b3")]


def test_training_does_not_change_the_model(handmade):
    module = OnnxModule(handmade["skip"], trainable=handmade["skip"].graph.initializers)
    with torch.no_grad():
        for weight in module.parameters():
            weight.zero_()
    assert np.abs(handmade["skip"].graph.initializers["w1"].const_value.numpy()).max() > 0


def test_every_unknown_operator_is_listed():
    model = whole_model("a = Det (x) b = NonZero (x) c = Cast <to = 1> (b) y = Add (a, c)")
    with pytest.raises(ExportError, match="Det, NonZero"):
        OnnxModule(model)


def test_control_flow_is_refused(handmade):
    with pytest.raises(ExportError, match="If"):
        OnnxModule(handmade["branched"])


def test_a_failing_operator_says_where(handmade):
    with pytest.raises(ExportError, match=r"Conv \S+ fails in torch on inputs of shape \(1, 2, 8, 8\)"):
        OnnxModule(handmade["skip"])(torch.rand(1, 2, 8, 8))


def test_a_wrong_number_of_inputs_names_them(handmade):
    with pytest.raises(ExportError, match="1 inputs given, the model takes x, gain"):
        OnnxModule(handmade["two_inputs"])(torch.rand(1, 3, 8, 8))
