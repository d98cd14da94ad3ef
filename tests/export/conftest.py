import os
import signal
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
import torch

from isthmus.export.doors import batch, opening
from isthmus.export.graph import shapes

torch.set_num_threads(1)

SKIP = """
network (float[batch, 3, 8, 8] x) => (float[batch, 5] answer) {
    first = Conv <pads = [1, 1, 1, 1]> (x, w1, b1)
    active = Relu (first)
    second = Conv <pads = [1, 1, 1, 1]> (active, w2, b2)
    sum = Add (active, second)
    joined = Concat <axis = 1> (sum, active)
    pooled = GlobalAveragePool (joined)
    flat = Flatten (pooled)
    answer = Gemm <transB = 1> (flat, w3, b3)
}
"""

SHAPED = """
network (float[batch, 3, 8, 8] x) => (float[batch, 5] answer) {
    first = Conv <strides = [8, 8]> (x, w8, b1)
    size = Shape <start = 0, end = 1> (x)
    rest = Constant <value_ints = [-1]> ()
    target = Concat <axis = 0> (size, rest)
    active = Relu (first)
    half = Mul (active, active)
    flat = Reshape (half, target)
    answer = Gemm <transB = 1> (flat, w4, b3)
}
"""

ENLARGED = """
network (float[batch, 3, height, width] x) => (float[batch, 4, height, width] answer) {
    size = Shape (x)
    ends = Shape <start = 2, end = 4> (x)
    first = Conv <strides = [2, 2], pads = [1, 1, 1, 1]> (x, w1, b1)
    active = Relu (first)
    front = Shape <start = 0, end = 2> (active)
    target = Concat <axis = 0> (front, ends)
    answer = Resize <mode = "nearest"> (active, , , target)
}
"""

TWO_INPUTS = """
network (float[batch, 3, 8, 8] x, float[batch, 4, 8, 8] gain) => (float[batch, 4, 8, 8] early, float[batch, 4, 8, 8] late) {
    early = Conv <pads = [1, 1, 1, 1]> (x, w1, b1)
    second = Conv <pads = [1, 1, 1, 1]> (early, w2, b2)
    active = Sigmoid (second)
    late = Mul (active, gain)
}
"""

BRANCHED = """
network (float[batch, 3, 8, 8] x) => (float[batch, 4, 8, 8] answer) {
    first = Conv <pads = [1, 1, 1, 1]> (x, w1, b1)
    active = Relu (first)
    total = ReduceSum <keepdims = 0> (active)
    zero = Constant <value_float = 0.0> ()
    positive = Greater (total, zero)
    answer = If (positive) <
        then_branch = yes () => (float[batch, 4, 8, 8] kept) { kept = Mul (active, first) },
        else_branch = no () => (float[batch, 4, 8, 8] other) { other = Neg (active) }
    >
}
"""

TEXTS = {"skip": SKIP, "shaped": SHAPED, "enlarged": ENLARGED, "two_inputs": TWO_INPUTS, "branched": BRANCHED}

WEIGHT_SHAPES = {
    "w1": (4, 3, 3, 3),
    "b1": (4,),
    "w2": (4, 4, 3, 3),
    "b2": (4,),
    "w3": (5, 8),
    "b3": (5,),
    "w4": (5, 4),
    "w8": (4, 3, 8, 8),
}


def make_proto(text, opset=17):
    """Parse a graph and give it seeded values for the weights it names."""
    generator = np.random.default_rng(7)
    weights = {name: generator.normal(0, 0.3, shape).astype(np.float32) for name, shape in WEIGHT_SHAPES.items()}
    proto = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : {opset}]>\n{text}')
    read = names_read(proto.graph)
    proto.graph.initializer.extend(onnx.numpy_helper.from_array(value, name) for name, value in weights.items() if name in read)
    onnx.checker.check_model(proto)
    return proto


def names_read(graph):
    """Names that the nodes of a graph read, those inside control-flow bodies too."""
    bodies = [attribute.g for node in graph.node for attribute in node.attribute if attribute.HasField("g")]
    return {name for node in graph.node for name in node.input}.union(*map(names_read, bodies))


def make_model(text, opset=17):
    """The same as an onnx-ir model that has been tidied and typed as after a door."""
    model = ir.from_proto(make_proto(text, opset))
    opening.tidy(model)
    batch.name_batch(model)
    shapes.infer(model)
    return model


@pytest.fixture
def proto_of():
    return make_proto


@pytest.fixture
def model_of():
    return make_model


@pytest.fixture
def handmade():
    """Hand-made models by name."""
    return {name: make_model(text) for name, text in TEXTS.items()}


@pytest.fixture(scope="session")
def skip_network():
    """The hand-made model with skips, for fixtures that outlive a test; not to be changed."""
    return make_model(SKIP)


@pytest.fixture
def ctrl_c():
    """Python's handler of SIGINT, in place even where tests run in the background of a shell, which ignores the signal."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield signal.default_int_handler
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def networks(monkeypatch):
    """Work in the folder of `networks.py`, so that `networks:NAME` opens."""
    folder = Path(__file__).parent
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(str(folder))
    return folder


@pytest.fixture(scope="session")
def residual_source():
    before = Path.cwd()
    os.chdir(Path(__file__).parent)
    try:
        return opening.open_model("networks:residual")
    finally:
        os.chdir(before)


@pytest.fixture(scope="session")
def foreign_files():
    root = Path(__file__).resolve().parents[2]
    folder = Path(os.environ.get("ISTHMUS_DATA", root.parent / "shared" / "data"))
    if not (folder / "onnx_zoo").is_dir():
        pytest.skip(f"no foreign ONNX files at {folder}; set ISTHMUS_DATA")
    return sorted(path for name in ("onnx_zoo", "detectors", "imagenet_mobilenetv2") for path in (folder / name).glob("*.onnx"))


@pytest.fixture(scope="session")
def onnx_zoo(foreign_files):
    return [path for path in foreign_files if path.parent.name == "onnx_zoo"]
