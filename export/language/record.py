"""What a bundle's manifest says of a language model's export."""

import datetime
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import onnxruntime

import isthmus
from isthmus.contract.language import Generation, KeyValues, LanguageManifest, Layers
from isthmus.contract.manifest import Gate
from isthmus.errors import ExportError
from isthmus.export.doors import processor
from isthmus.export.language.blueprint import Blueprint
from isthmus.export.language.builder import Stretch
from isthmus.export.language.network import OPSET, NetworkFile
from isthmus.export.language.settings import LanguageSettings
from isthmus.export.record import identifier

ONNXRUNTIME_MIN = "1.20"
"""First release whose GroupQueryAttention takes several tokens with a past on CPUs."""


def manifest(
    folder: Path,
    settings: LanguageSettings,
    plan: Blueprint,
    networks: Sequence[tuple[Stretch, NetworkFile]],
    *,
    positions: int,
    gates: Sequence[Gate],
) -> LanguageManifest:
    """The manifest of an export, without files and digests.

    Args:
        folder: of the model.
        settings: what was asked for.
        plan: of the model.
        networks: of the split model in order.
        positions: longest sequence that they take.
        gates: what was checked.

    Raises:
        ExportError: a configuration of the folder makes no sense.
    """
    parts: dict[str, Any] = dict(zip(("head", "tail", "last"), (_layers(*network) for network in networks), strict=False))
    return LanguageManifest(
        id=identifier(folder.resolve().name),
        version=settings.version,
        files={},
        opset=OPSET,
        onnxruntime_min=ONNXRUNTIME_MIN,
        architecture=plan.architecture,
        layout=settings.layout,
        layers=plan.layers,
        width=plan.width,
        vocabulary=plan.vocabulary,
        positions_max=positions,
        cache="shared",
        key_values=(KeyValues(layers=plan.layers, heads=plan.key_value_heads, width=plan.head_width),),
        **parts,
        **_of_generation(folder),
        gates=tuple(gates),
        source=str(folder),
        licence=settings.licence,
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        writer=f"isthmus {isthmus.__version__}, onnxruntime {onnxruntime.__version__}, {platform.machine()}",
    )


def _layers(stretch: Stretch, network: NetworkFile) -> Layers:
    size_bytes = sum(path.stat().st_size for path in network.files.values())
    return Layers(first=stretch.first, layers=stretch.layers, parameters=network.parameters, size_bytes=size_bytes)


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
