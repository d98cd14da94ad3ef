"""Rotary positions: by what angles each layer turns queries and keys, as the family itself computes them."""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from isthmus.errors import ExportError
from isthmus.export.language.families import Family

STATIC = ("default", "linear", "llama3", "yarn")
"""Kinds of scaling whose angles do not depend on the length of the sequence."""
LONG = "longrope"
"""Of Phi-3, whose angles are others as soon as a text is longer than what the model was first trained on; up to there they are
the short ones."""
MULTIPLE = 16
"""Of the values of a head that are turned, in onnxruntime's kernel."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rotation:
    """Of one kind of layers.

    Attributes:
        frequencies: float32[pair], angle per position of each pair of values.
        magnification: factor on sine and cosine.
    """

    frequencies: np.ndarray
    magnification: float

    @property
    def values(self) -> int:
        """Of a head, that are turned."""
        return 2 * len(self.frequencies)


def of_layers(folder: Path, config: Any, architecture: str, family: Family, head_width: int) -> tuple[Rotation | None, ...]:  # noqa: ANN401
    """The rotation of every layer; None where a layer turns nothing.

    Raises:
        ExportError: angles depend on the length of the text, or only a part of a head is turned that is no multiple of 16.
    """
    rotary = _made(config, architecture, family)
    kinds = config.layer_types if _by_kind(config) else ["" for _ in range(config.num_hidden_layers)]
    known = {kind: _of_kind(folder, config, rotary, kind, head_width) for kind in dict.fromkeys(kinds)}
    turns = getattr(config, "no_rope_layers", None) or [1] * config.num_hidden_layers
    return tuple(known[kind] if turned else None for kind, turned in zip(kinds, turns, strict=False))


def positions_max(config: Any) -> int:  # noqa: ANN401
    """Longest sequence whose angles are known."""
    most = config.max_position_embeddings
    if _by_kind(config) or config.rope_parameters.get("rope_type") != LONG:
        return int(most)
    short = config.rope_parameters.get("original_max_position_embeddings") or config.original_max_position_embeddings
    return int(min(most, short))


def _by_kind(config: Any) -> bool:  # noqa: ANN401
    """Whether kinds of layers have angles of their own."""
    kinds = getattr(config, "layer_types", None) or []
    return bool(kinds) and set(kinds) <= set(config.rope_parameters)


def _made(config: Any, architecture: str, family: Family) -> Any:  # noqa: ANN401
    modeling = importlib.import_module(f"transformers.models.{family.module}.modeling_{family.module}")
    return getattr(modeling, f"{architecture.removesuffix('ForCausalLM')}RotaryEmbedding")(config)


def _of_kind(folder: Path, config: Any, rotary: Any, kind: str, head_width: int) -> Rotation:  # noqa: ANN401
    parameters: Mapping[str, Any] = config.rope_parameters[kind] if kind else config.rope_parameters
    scaling = parameters.get("rope_type", "default")
    if scaling not in (*STATIC, LONG):
        known = ", ".join((*STATIC, LONG))
        raise ExportError(
            f"{folder}: rotary scaling {scaling!r} depends on the length of the text, which is not built; {known} are"
        )
    before = f"{kind}_" if kind else ""
    frequencies = getattr(rotary, f"{before}inv_freq").float().numpy()
    found = Rotation(frequencies=frequencies, magnification=float(getattr(rotary, f"{before}attention_scaling")))
    if found.values != head_width and (found.values % MULTIPLE or head_width % MULTIPLE):
        raise ExportError(f"{folder}: rotary positions over {found.values} of {head_width} values of a head are not known")
    return found
