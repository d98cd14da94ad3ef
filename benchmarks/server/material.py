"""What is served: a tail of a set time and its bundle, and bundles that do nothing with payloads of a set size.

Nothing is trained and no weights come from outside: time and bytes are what matters here. Heads are never run.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from benchmarks.server.bare import measure, open_session

from isthmus.contract.boundary import Boundary, CodeTensor, OperatingPoint
from isthmus.contract.bundle import Bundle
from isthmus.contract.bundle_writing import write_bundle
from isthmus.contract.manifest import Cut, Manifest, Port, Side
from isthmus.contract.prepare import Preparation

TAIL_MS = 0.4
SHAPE, BITS = (12, 14, 14), 4
"""A bottleneck of 2352 codes of 4 bits."""
LAYERS_MAX = 16
ECHO_OUTPUTS = 16
"""Floats that a bundle which does nothing gives back."""
_ROW = 1000
"""Codes in a row of such a bundle."""
_CODES, _SCORES = "codes", "scores"


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """A bundle and one frame of it.

    Attributes:
        bundle: on the disk.
        codes: int8[1, ...], the frame that every server gets.
        expected: float32[1, output], what `tail.onnx` gives for it here.
        told: how the tail was made, for the reader.
    """

    bundle: Bundle
    codes: np.ndarray
    expected: np.ndarray
    told: str

    @property
    def tail(self) -> Path:
        """The network that all servers run."""
        return self.bundle.path("tail.onnx")


def make_tail(folder: Path) -> Material:
    """A bundle whose tail takes about `TAIL_MS` on this machine: as many 3x3 convolutions as come nearest."""
    codes = _normal_codes(2)
    models = {layers: _convolutions(layers) for layers in range(1, LAYERS_MAX + 1)}
    layers = nearest(lambda count: _time_ms(models[count], codes[:1]), TAIL_MS, LAYERS_MAX)
    told = (
        f"{layers + 1} convolutions of 3x3 with {_WIDTH} channels on {SHAPE[1]} x {SHAPE[2]} places, random weights, written in "
        f"ONNX's text format; their number is chosen on the machine so that one run takes about {TAIL_MS} ms"
    )
    return _material(folder, models[layers], codes, bits=BITS, told=told)


def make_echo(folder: Path, size_bytes: int) -> Material:
    """A bundle whose frames are `size_bytes` codes of 8 bits, and whose tail gives back the first few of them.

    Args:
        folder: where it is written.
        size_bytes: a multiple of 1000.
    """
    shape = (1, size_bytes // _ROW, _ROW)
    codes = np.random.default_rng(0).integers(-128, 128, (2, *shape)).astype(np.int8)
    return _material(folder, _first_codes(shape), codes, bits=8, told="the first codes as floats")


def make_wide(folder: Path) -> Material:
    """A bundle whose frames are 250 kB, whose answers are a megabyte, and whose tail takes a dozen milliseconds."""
    shape = (1, 250, _ROW)
    codes = np.random.default_rng(0).integers(-128, 128, (2, *shape)).astype(np.int8)
    pads = "<pads = [1, 1, 1, 1]>"
    body = f"floats = Cast <to = 1> (codes) wide = Conv {pads} (floats, out) narrow = Conv {pads} (wide, back)"
    model = _parse(shape, shape[1] * _ROW, f"{body} scores = Flatten (narrow)")
    for name, sizes in (("out", (8, 1, 3, 3)), ("back", (1, 8, 3, 3))):
        weights = np.random.default_rng(1).normal(size=sizes).astype(np.float32)
        model.graph.initializer.append(onnx.numpy_helper.from_array(weights, name))
    return _material(folder, model, codes, bits=8, told="two convolutions of 3x3 over 250 x 1000 places")


def nearest(time_of: Callable[[int], float], wanted: float, most: int) -> int:
    """The count from 1 to `most` whose time is nearest to `wanted`, for times that grow with the count.

    >>> nearest(lambda count: count * 0.3, 1.0, 16)
    3
    """
    before = float("inf")
    for count in range(1, most + 1):
        spent = time_of(count)
        if spent >= wanted:
            return count if abs(spent - wanted) <= abs(before - wanted) else count - 1
        before = spent
    return most


_WIDTH, _CLASSES = 48, 10


def _convolutions(layers: int) -> onnx.ModelProto:
    body = ["floats = Cast <to = 1> (codes)", "a0 = Conv <pads = [1, 1, 1, 1]> (floats, w0)"]
    body += [f"r{i} = Relu (a{i - 1}) a{i} = Conv <pads = [1, 1, 1, 1]> (r{i}, w{i})" for i in range(1, layers + 1)]
    body += [f"pooled = GlobalAveragePool (a{layers})", "flat = Flatten (pooled)", "scores = Gemm (flat, last)"]
    model = _parse(SHAPE, _CLASSES, " ".join(body))
    random = np.random.default_rng(0)
    shapes = {f"w{i}": (_WIDTH, SHAPE[0] if i == 0 else _WIDTH, 3, 3) for i in range(layers + 1)} | {"last": (_WIDTH, _CLASSES)}
    for name, shape in shapes.items():
        weights = (random.normal(size=shape) / np.sqrt(shape[0] * 9)).astype(np.float32)
        model.graph.initializer.append(onnx.numpy_helper.from_array(weights, name))
    return model


def _first_codes(shape: tuple[int, ...]) -> onnx.ModelProto:
    constants = f"<int64[2] first = {{0, 0}}, int64[2] last = {{1, {ECHO_OUTPUTS}}}, int64[2] axes = {{2, 3}}>"
    body = "few = Slice (codes, first, last, axes) flat = Flatten (few) scores = Cast <to = 1> (flat)"
    return _parse(shape, ECHO_OUTPUTS, body, constants)


def _parse(shape: tuple[int, ...], outputs: int, body: str, constants: str = "") -> onnx.ModelProto:
    takes = f"int8[batch, {', '.join(map(str, shape))}] {_CODES}"
    gives = f"float[batch, {outputs}] {_SCORES}"
    text = f'<ir_version: 8, opset_import: ["" : 17]> tail ({takes}) => ({gives}) {constants} {{{body}}}'
    return onnx.parser.parse_model(text)


def _normal_codes(count: int) -> np.ndarray:
    """int8[count, *SHAPE] with most codes near 0, as trained bottlenecks give them."""
    drawn = np.random.default_rng(0).normal(size=(count, *SHAPE))
    return np.clip(np.round(drawn), -8, 7).astype(np.int8)


def _time_ms(model: onnx.ModelProto, codes: np.ndarray) -> float:
    """What one run takes when nobody disturbs it, as the quicker ones tell on a shared machine."""
    return float(np.percentile(measure(open_session(model.SerializeToString()), codes, 0.3).latencies_s, 10)) * 1000


def _material(folder: Path, tail: onnx.ModelProto, codes: np.ndarray, *, bits: int, told: str) -> Material:
    """Write a bundle around a tail; `codes` are two golden frames."""
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(tail, folder / "tail.onnx")
    (folder / "head.onnx").write_bytes(b"not used")
    scores = np.asarray(open_session(str(folder / "tail.onnx")).run(None, {_CODES: codes})[0])
    np.savez(folder / "golden.npz", input=np.zeros((2, 1), dtype=np.float32), codes_0=codes, outputs_scores=scores)
    side = Side(flops=0, parameters=0)
    shape = codes.shape[1:]
    manifest = Manifest(
        id=folder.name, files={}, opset=17, onnxruntime_min="1.20", bottleneck="none", head=side, tail=side, whole=side,
        input=Port(name="image", datatype="FP32", shape=(None, 3, 112, 112)), preparation=Preparation(width=112, height=112),
        outputs=(Port(name=_SCORES, datatype="FP32", shape=(None, scores.shape[1])),),
        boundary=Boundary(tensors=(CodeTensor(name=_CODES, shape=shape, bits=bits),)),
        points=(OperatingPoint(name="all", channels=(shape[0],)),),
        cut=Cut(tensors=(_CODES,), operator="Conv", flops_share=0.0, replaces_head=False),
    )  # fmt: skip
    files = {name: folder / name for name in ("head.onnx", "tail.onnx", "golden.npz")}
    bundle = write_bundle(folder / "bundle", manifest, files)
    return Material(bundle=bundle, codes=codes[:1], expected=scores[:1], told=told)


ONNXRUNTIME = onnxruntime.__version__
