"""A bundle whose networks run: small enough to be made in milliseconds, real enough to be served."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest
import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import settings
from tests.authority import Authority
from tests.browser import CHROMIUM, Browser
from tests.language_models import write_folder

from isthmus.codec.codec import Codec
from isthmus.codec.payload import Mode
from isthmus.codec.tables import FILE_NAME
from isthmus.codec.training import train_tables
from isthmus.contract.boundary import Boundary, CodeTensor, OperatingPoint
from isthmus.contract.bundle import Bundle, LanguageBundle
from isthmus.contract.bundle_writing import write_bundle
from isthmus.contract.filter import FILTER, FilterRecord, Presence
from isthmus.contract.key import PrivateKey
from isthmus.contract.manifest import Cut, Int8Head, LocalNetwork, Manifest, Port, Side, Task
from isthmus.contract.prepare import Preparation

# A deadline is a wall-clock assertion: on a loaded machine it fails without a fault. Before a change lands the examples
# are always the same ones, so that what fails is the change's; everywhere else they are new ones each time.
settings.register_profile("ours", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("ours")

collect_ignore = ["triton_client.py"]
"""A program for an environment that has not our packages, and that has packages which ours has not."""

MakeTinyBundle = Callable[..., Bundle]
MakeKey = Callable[[int], PrivateKey]
MakeScene = Callable[..., np.ndarray]

SIDE, CHANNELS, CLASSES, STEP = 32, 4, 5, 0.125
"""Input rows and columns; channels of the boundary of SIDE/8 rows and columns; outputs; size of a quantiser step."""

_HEAD = """
    folded = Conv <strides = [8, 8]> (image, kernel)
    scaled = Div (folded, step)
    rounded = Round (scaled)
    clipped = Clip (rounded, lowest, highest)
    codes = Cast <to = 3> (clipped)
"""
_TAIL = """
    floats = Cast <to = 1> (codes)
    restored = Mul (floats, step)
    pooled = GlobalAveragePool (restored)
    flat = Flatten (pooled)
    scores = Gemm (flat, weights, bias)
"""
_FILTER = """
    floats = Cast <to = 1> (codes)
    flat = Flatten (floats)
    score = ReduceMean <axes = [1], keepdims = 0> (flat)
"""
_IMAGE = f"float[batch, 3, {SIDE}, {SIDE}] image"
_CODES = f"int8[batch, {CHANNELS}, {SIDE // 8}, {SIDE // 8}] codes"
_SCORES = f"float[batch, {CLASSES}] scores"


def _network(body: str, takes: str, gives: str, weights: dict[str, np.ndarray]) -> onnx.ModelProto:
    text = f'<ir_version: 8, opset_import: ["" : 17]> tiny ({takes}) => ({gives}) {{{body}}}'
    model = onnx.parser.parse_model(text)
    used = {name for node in model.graph.node for name in node.input}
    model.graph.initializer.extend(onnx.numpy_helper.from_array(a, name) for name, a in weights.items() if name in used)
    onnx.checker.check_model(model, full_check=True)
    return model


def _weights(seed: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    return {
        "kernel": random.normal(size=(CHANNELS, 3, 8, 8)).astype(np.float32) / 8,
        "step": np.float32(STEP).reshape(()),
        "lowest": np.float32(-8).reshape(()),
        "highest": np.float32(7).reshape(()),
        "weights": random.normal(size=(CHANNELS, CLASSES)).astype(np.float32),
        "bias": random.normal(size=CLASSES).astype(np.float32),
    }


def _run(model: onnx.ModelProto, **feeds: np.ndarray) -> np.ndarray:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    (answer,) = session.run(None, feeds)
    return np.asarray(answer)


def _manifest(name: str) -> Manifest:
    shape = (CHANNELS, SIDE // 8, SIDE // 8)
    return Manifest(
        id=name,
        files={},
        opset=17,
        onnxruntime_min="1.20",
        input=Port(name="image", datatype="FP32", shape=(None, 3, SIDE, SIDE)),
        preparation=Preparation(width=SIDE, height=SIDE),
        outputs=(Port(name="scores", datatype="FP32", shape=(None, CLASSES)),),
        boundary=Boundary(tensors=(CodeTensor(name="codes", shape=shape, bits=4),)),
        bottleneck="none",
        points=(OperatingPoint(name="all", channels=(CHANNELS,)), OperatingPoint(name="half", channels=(CHANNELS // 2,))),
        cut=Cut(tensors=("folded",), operator="Conv", flops_share=0.9, replaces_head=False),
        head=Side(flops=2 * 3 * 64 * 4 * 16, parameters=768),
        tail=Side(flops=2 * CHANNELS * CLASSES, parameters=25),
        whole=Side(flops=2 * 3 * 64 * 4 * 16 + 2 * CHANNELS * CLASSES, parameters=793),
        task=Task(kind="classification", labels=tuple("abcde")),
    )


def _filter_record(threshold: float) -> FilterRecord:
    return FilterRecord(
        threshold=threshold,
        head="head.onnx",
        recall_min=0.99,
        confidence=0.95,
        certified=True,
        recall_shown=0.991,
        missed_frames_max=0.01,
        pause_s=1.0,
        labels="drawn",
        film=("drawn",),
        parting="drawn",
        presence=Presence(kind="classes", names=("a",)),
    )


def _payloads(manifest: Manifest, codes: np.ndarray) -> dict[str, np.ndarray]:
    codec = Codec(manifest.boundary, manifest.points, [Mode.RAW])
    places = [(frame, point) for frame in range(len(codes)) for point in range(len(manifest.points))]
    coded = {f"payload_RAW_{frame}_{point}": codec.encode([codes[frame]], point=point) for frame, point in places}
    return {name: np.frombuffer(payload, dtype=np.uint8) for name, payload in coded.items()}


def _train(manifest: Manifest, head: onnx.ModelProto, seed: int, path: Path) -> None:
    images = np.random.default_rng(seed + 1).random((60, 3, SIDE, SIDE), dtype=np.float32)
    frames = [(codes,) for codes in _run(head, image=images)]
    train_tables(frames, manifest.boundary, manifest.points).save(path)


@pytest.fixture(autouse=True)
def _usual_logs() -> Iterator[None]:
    """Commands that run in this process set logs up as they need them; the next test shall not miss a line for it."""
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def make_tiny_bundle(tmp_path_factory: pytest.TempPathFactory) -> MakeTinyBundle:
    """A function that writes a bundle.

    Arguments: `name` (its id), `seed` (of the weights), `tail_body` (ONNX text in place of the tail), `without` (files left out),
    `batch` (the batch axis of the tail, a name or a number), `golden_offset` (added to the golden outputs),
    `local` (what the device runs alone, with other weights as well, as `local.onnx`),
    `int8` (a second head as `head.int8.onnx`; its weights are others, so that one can tell which head ran),
    `tables` (whether it has codec tables), `filtered` (a neural filter that scores a frame by the mean of its codes, with this
    threshold; the class `a` means nothing).
    """

    def make(
        name: str = "tiny",
        *,
        seed: int = 1,
        tail_body: str = _TAIL,
        without: tuple[str, ...] = (),
        batch: str = "batch",
        golden_offset: float = 0.0,
        int8: bool = False,
        local: bool = False,
        tables: bool = False,
        filtered: float | None = None,
    ) -> Bundle:
        folder = tmp_path_factory.mktemp("tiny")
        weights = _weights(seed)
        head = _network(_HEAD, _IMAGE, _CODES, weights)
        tail = _network(tail_body, _CODES.replace("batch", batch), _SCORES.replace("batch", batch), weights)
        networks = {"head.onnx": head, "tail.onnx": tail, "whole.onnx": _network(_HEAD + _TAIL, _IMAGE, _SCORES, weights)}
        manifest = _manifest(name)
        if int8:
            networks["head.int8.onnx"] = _network(_HEAD, _IMAGE, _CODES, _weights(seed + 1))
            manifest = manifest.model_copy(update={"int8": Int8Head(shipped=True, changed_code_share_max=0.25)})
        if local:
            networks["local.onnx"] = _network(_HEAD + _TAIL, _IMAGE, _SCORES, _weights(seed + 2))
            alone = LocalNetwork(kind="own", flops=manifest.whole.flops, parameters=manifest.whole.parameters)
            manifest = manifest.model_copy(update={"local": alone})
        for file, model in networks.items():
            onnx.save(model, folder / file)
        images = np.random.default_rng(seed).random((3, 3, SIDE, SIDE), dtype=np.float32)
        codes = _run(head, image=images)
        scores = np.concatenate([_run(tail, codes=codes[index : index + 1]) for index in range(3)]) + golden_offset
        arrays = {"input": images, "codes_0": codes, "outputs_scores": scores, **_payloads(manifest, codes)}
        if int8:
            arrays["codes_int8_0"] = _run(networks["head.int8.onnx"], image=images)
        if local:
            arrays["local_scores"] = _run(networks["local.onnx"], image=images)
        if filtered is not None:
            networks[FILTER] = _network(_FILTER, _CODES, "float[batch] score", {})
            onnx.save(networks[FILTER], folder / FILTER)
            arrays["filter_scores"] = _run(networks[FILTER], codes=codes)
            manifest = manifest.model_copy(update={"filter": _filter_record(filtered)})
        np.savez(folder / "golden.npz", **arrays)  # type: ignore[arg-type]
        files: dict[str, Path] = {file: folder / file for file in [*networks, "golden.npz"] if file not in without}
        if tables:
            files[FILE_NAME] = folder / FILE_NAME
            _train(manifest, head, seed, files[FILE_NAME])
        return write_bundle(folder / "bundle", manifest, files)

    return make


@pytest.fixture(scope="session")
def tiny_bundle(make_tiny_bundle: MakeTinyBundle) -> Bundle:
    """A bundle: a 32 x 32 picture, one boundary tensor of int4[4, 4, 4], five scores."""
    return make_tiny_bundle()


@pytest.fixture(scope="session")
def coded_bundle(make_tiny_bundle: MakeTinyBundle) -> Bundle:
    """The same with codec tables, so that it has the modes `intra` and `temporal`."""
    return make_tiny_bundle("coded", tables=True)


@pytest.fixture(scope="session")
def make_language_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """A function that writes a Hugging Face folder of a small language model with random weights; see `write_folder`."""
    return lambda family="llama", **changed: write_folder(tmp_path_factory.mktemp("folder") / family, family, **changed)


@pytest.fixture(scope="session")
def make_language_bundle(
    make_language_folder: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., LanguageBundle]:
    """A function that writes the bundle of such a model, cut behind its first layer; `settings` has others of
    `LanguageSettings`, further arguments are those of the folder."""

    def make(family: str = "llama", *, settings: dict[str, Any] | None = None, **changed: object) -> LanguageBundle:
        from isthmus.export.language.exporter import export  # torch, which most tests do without
        from isthmus.export.language.settings import LanguageSettings

        output = tmp_path_factory.mktemp("language") / "bundle"
        return export(make_language_folder(family, **changed), output, LanguageSettings(**{"cut": "1"} | (settings or {})))

    return make


@pytest.fixture(scope="session")
def language_bundle(make_language_bundle: Callable[..., LanguageBundle]) -> LanguageBundle:
    """A Llama of four layers and 300 tokens with random weights, one layer of it in the head."""
    return make_language_bundle()


@pytest.fixture(scope="session")
def traced_bundle(make_language_bundle: Callable[..., LanguageBundle]) -> LanguageBundle:
    """A GPT-2 of the same sizes, whose networks are traced; one layer of it in the head."""
    return make_language_bundle("gpt2")


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder of five pictures of noise, 60x40."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    random = np.random.default_rng(0)
    for index in range(5):
        cv2.imwrite(str(folder / f"{index}.png"), random.integers(0, 256, (40, 60, 3), dtype=np.uint8))
    return folder


@pytest.fixture
def browse(tmp_path: Path) -> Iterator[Callable[[], Browser]]:
    """A function that starts a browser."""
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine")
    with Browser(tmp_path / "profile") as browser:
        yield lambda: browser


@pytest.fixture(scope="session")
def make_key() -> MakeKey:
    """A function that gives the private key of a number, always the same."""
    return lambda number: PrivateKey(Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32))


_DETECTOR = """
    means = Conv <strides = [8, 8]> (picture, mean_kernel)
    mixed = Relu (means)
    places = Conv (mixed, place_kernel, place_bias)
    logits = Conv (mixed, logit_kernel, logit_bias)
    chances = Sigmoid (logits)
    fine = Concat <axis = 1> (places, chances)
    middle_mean = AveragePool <kernel_shape = [2, 2], strides = [2, 2]> (fine)
    coarse_mean = AveragePool <kernel_shape = [4, 4], strides = [4, 4]> (fine)
    middle = Mul (middle_mean, silence)
    coarse = Mul (coarse_mean, silence)
    fine_flat = Reshape (fine, flat)
    middle_flat = Reshape (middle, flat)
    coarse_flat = Reshape (coarse, flat)
    joined = Concat <axis = 2> (fine_flat, middle_flat, coarse_flat)
    raw = Transpose <perm = [0, 2, 1]> (joined)
"""


@pytest.fixture(scope="session")
def tiny_detector(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An ONNX file of YOLOX's form, 64 x 64 pixels, that finds red squares (class 0) and blue ones (1) of 8 x 8 pixels.

    A square that fills a cell of the grid of stride 8 gives just its corners; other strides see nothing.
    """
    mean = np.zeros((3, 3, 8, 8), np.float32)
    mean[range(3), range(3)] = 1 / 64 / 255
    blue, green, red = np.eye(3, dtype=np.float32)
    logits = 20 * np.stack([red + blue - 2 * green, red - blue, blue - red])
    weights = {
        "mean_kernel": mean,
        "place_kernel": np.zeros((4, 3, 1, 1), np.float32),
        "place_bias": np.array([0.5, 0.5, 0, 0], np.float32),  # the middle of the cell, one stride wide and high
        "logit_kernel": logits[:, :, None, None],
        "logit_bias": np.array([-10, -5, -5], np.float32),
        "silence": np.float32(0).reshape(()),
        "flat": np.array([0, 7, -1]),
    }
    path = tmp_path_factory.mktemp("detector") / "squares.onnx"
    onnx.save(_network(_DETECTOR, "float[batch, 3, 64, 64] picture", "float[batch, 84, 7] raw", weights), path)
    return path


@pytest.fixture(scope="session")
def make_scene() -> MakeScene:
    """A function that paints a dark grey picture of 128 x 64 with squares: "red" or "blue" and a cell (column, row) of 16 pixels.

    Shrunk by half and with bars above and below, as `tiny_detector` sees it, cells are those of its grid.
    """

    def make(*squares: tuple[str, int, int]) -> np.ndarray:
        picture = np.full((64, 128, 3), 40, np.uint8)
        for colour, column, row in squares:
            picture[16 * row : 16 * row + 16, 16 * column : 16 * column + 16] = {"red": (0, 0, 255), "blue": (255, 0, 0)}[colour]
        return picture

    return make


@pytest.fixture
def make_authority(tmp_path: Path) -> Callable[..., Authority]:
    """A function that makes a certificate authority of a name; its files go to the test's folder."""
    return lambda name="authority": Authority(tmp_path, name)
