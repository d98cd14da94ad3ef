"""What a bundle's manifest says of a language model's export."""

import datetime
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import onnxruntime

import isthmus
from isthmus.contract.language import Fidelity, Generation, LanguageManifest, Layers, Weights
from isthmus.contract.manifest import Gate
from isthmus.errors import ExportError
from isthmus.export.doors import processor
from isthmus.export.language.network import OPSET
from isthmus.export.language.outline import Outline
from isthmus.export.language.settings import LanguageSettings
from isthmus.export.language.workshop import Built
from isthmus.export.record import identifier

ONNXRUNTIME_MIN: dict[Weights, str] = {"float32": "1.20", "int4": "1.20", "int8": "1.22"}
"""First releases whose GroupQueryAttention takes several tokens with a past on CPUs, and whose MatMulNBits takes 8 bits."""


def manifest(
    folder: Path,
    settings: LanguageSettings,
    plan: Outline,
    split: Sequence[Built],
    local: Sequence[Built],
    *,
    positions: int,
    gates: tuple[Gate, ...],
    fidelity: tuple[Fidelity, ...],
) -> LanguageManifest:
    """The manifest of an export, without files and digests.

    Args:
        folder: of the model.
        settings: what was asked for.
        plan: of the model.
        split: its networks in order.
        local: the network that the device has alone, if there is one.
        positions: longest sequence that they take.
        gates: what was checked.
        fidelity: what was measured on a text.

    Raises:
        ExportError: a configuration of the folder makes no sense.
    """
    parts: dict[str, Any] = {one.part.name.removesuffix(".onnx"): _layers(one) for one in (*split, *local)}
    return LanguageManifest(
        id=identifier(folder.resolve().name),
        version=settings.version,
        files={},
        opset=OPSET,
        onnxruntime_min=max(ONNXRUNTIME_MIN[one.part.weights] for one in (*split, *local)),
        architecture=plan.architecture,
        layout=settings.layout,
        layers=plan.layers,
        width=plan.width,
        vocabulary=plan.vocabulary,
        positions_max=positions,
        cache=plan.cache,
        key_values=plan.key_values,
        **parts,
        **_of_generation(folder),
        fidelity=fidelity,
        gates=gates,
        source=str(folder),
        licence=settings.licence,
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        writer=f"isthmus {isthmus.__version__}, onnxruntime {onnxruntime.__version__}, {platform.machine()}",
    )


def _layers(built: Built) -> Layers:
    part = built.part
    return Layers(
        first=part.stretch.first,
        layers=part.stretch.layers,
        weights=part.weights,
        parameters=built.parameters,
        size_bytes=built.size_bytes,
    )


def _of_generation(folder: Path) -> dict[str, Any]:
    """Tokens that end an answer, and how the model's authors want it sampled."""
    path = folder / "generation_config.json"
    config = processor.read_json(folder / "config.json")
    said: Mapping[str, Any] = {**config, **(processor.read_json(path) if path.is_file() else {})}
    eos = said.get("eos_token_id")
    ids = [] if eos is None else eos if isinstance(eos, list) else [eos]
    names = ("temperature", "top_k", "top_p", "min_p", "repetition_penalty")
    try:
        generation = Generation(samples=bool(said.get("do_sample")), **{name: said.get(name) for name in names})
    except ValueError as reason:
        raise ExportError(f"{path} makes no sense: {str(reason).splitlines()[-1]}") from reason
    if not all(isinstance(one, int) and one >= 0 for one in ids):
        raise ExportError(f"{folder}: eos_token_id is {eos!r}; token ids are needed")
    return {"eos": tuple(ids), "generation": generation}
