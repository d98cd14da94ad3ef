"""The Hugging Face door: a folder with `config.json` and safetensors, as `save_pretrained` writes it.

Nothing is fetched and no code from the folder runs. Every weight of the model must be in the folder, and every weight there must
have a place in the model: transformers would fill what is missing with random numbers.
"""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from isthmus.contract.prepare import Preparation
from isthmus.errors import ExportError
from isthmus.export.doors import architectures, processor
from isthmus.export.doors.architectures import Architecture
from isthmus.export.doors.tracing import quiet

WEIGHTS = ("model.safetensors", "model.safetensors.index.json")
"""One file, or the index of several."""

NAMED_KEYS = 4
"""Weights that an error names; the rest is counted."""

TOKENS = 128
"""Length of the texts that an encoder is exported for, where it takes as many."""

SIDE = 224
"""Rows and columns of pictures where neither the image processor nor the model says."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Folder:
    """A model from a folder.

    Attributes:
        module: takes tensors in order and gives a tuple of tensors.
        inputs: example tensors, of one row.
        preparation: of pictures; None where the folder says nothing or the model takes none.
        labels: names of its classes; empty where it has none, or only numbers.
        input_names: of the tensors it takes.
        output_names: of the tensors it gives.
    """

    module: torch.nn.Module
    inputs: tuple[torch.Tensor, ...]
    preparation: Preparation | None
    labels: tuple[str, ...]
    input_names: tuple[str, ...]
    output_names: tuple[str, ...]


class _Fields(torch.nn.Module):
    """Tensors in order, and fields of the answer in order."""

    def __init__(self, module: torch.nn.Module, inputs: tuple[str, ...], outputs: tuple[str, ...]) -> None:
        super().__init__()
        self.module, self.inputs, self.outputs = module, inputs, outputs

    def forward(self, first: torch.Tensor, second: torch.Tensor | None = None) -> tuple[torch.Tensor, ...]:
        """The chosen fields."""
        tensors = (first,) if second is None else (first, second)
        answer = self.module(**dict(zip(self.inputs, tensors, strict=True)))
        return tuple(answer[name] for name in self.outputs)


def read(folder: Path) -> Folder:
    """Load the model of a folder.

    Raises:
        ExportError: no model is there, it is damaged, incomplete or of a kind that does not come in.
        UsageError, NotBuiltYet: a language model.
    """
    if not (folder / "config.json").is_file():
        raise ExportError(f"{folder} is no model folder: it has no config.json")
    config = processor.read_json(folder / "config.json")
    architecture = architectures.of_config(config, str(folder))
    if not any((folder / name).is_file() for name in WEIGHTS):
        raise ExportError(f"{folder} has no {WEIGHTS[0]}; pickled weights are not read, save them with save_pretrained")
    model = _load(folder, architecture)
    if architecture.encoder_only:
        model = model.get_encoder()
    settings = processor.read(folder)
    names, inputs = _examples(model, settings, folder)
    if names != ("pixel_values",):
        settings = None
    _, channels, *sides = (*inputs[0].shape, 0, 0)
    return Folder(
        module=_Fields(model, names, architecture.outputs).eval(),
        inputs=inputs,
        preparation=None if settings is None else processor.preparation(settings, sides[0], sides[1], channels, str(folder)),
        labels=_labels(model.config) if architecture.has_labels else (),
        input_names=names,
        output_names=architecture.outputs,
    )


def _load(folder: Path, architecture: Architecture) -> Any:  # noqa: ANN401
    with quiet(), _offline():
        import transformers

        loads = getattr(transformers, architecture.class_name, None)
        if loads is None:
            raise ExportError(f"{folder}: transformers {transformers.__version__} has no {architecture.class_name}; update it")
        try:
            model, found = loads.from_pretrained(
                os.fspath(folder),
                **_configuration(transformers, folder, architecture),
                local_files_only=True,
                # What does not fit is reported by `_check_complete` like what is missing.
                ignore_mismatched_sizes=True,
                use_safetensors=True,
                output_loading_info=True,
                # The fused kernels of torch have no ONNX counterpart and trace badly with windows (Swin).
                attn_implementation="eager",
                dtype=torch.float32,
            )
        except Exception as reason:  # transformers, safetensors and huggingface_hub raise kinds of their own
            lines = str(reason).strip().splitlines() or [type(reason).__name__]
            raise ExportError(f"{folder} cannot be loaded as {architecture.class_name}: {lines[0]}") from reason
    _check_complete(folder, architecture, found)
    return model.eval()


def _configuration(transformers: ModuleType, folder: Path, architecture: Architecture) -> dict[str, Any]:
    """The configuration of one half of a model of two; empty where the folder's own is used."""
    if architecture.half is None:
        return {}
    config = processor.read_json(folder / "config.json")
    half = {**config.get(architecture.half, {}), "projection_dim": config.get("projection_dim", 512)}
    return {"config": getattr(transformers, architecture.class_name).config_class.from_dict(half)}


@contextlib.contextmanager
def _offline() -> Iterator[None]:
    """Forbid the hub, also to what asks for it behind our back, as backbones do."""
    before = os.environ.get("HF_HUB_OFFLINE")
    os.environ["HF_HUB_OFFLINE"] = "1"
    from huggingface_hub import constants

    flag, constants.HF_HUB_OFFLINE = constants.HF_HUB_OFFLINE, True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = flag
        if before is None:
            del os.environ["HF_HUB_OFFLINE"]
        else:
            os.environ["HF_HUB_OFFLINE"] = before


def _check_complete(folder: Path, architecture: Architecture, found: dict[str, Any]) -> None:
    unexpected = [key for key in found["unexpected_keys"] if not key.startswith(architecture.left_out)]
    mismatched = [str(entry[0] if isinstance(entry, tuple) else entry) for entry in found["mismatched_keys"]]
    for keys, words in (
        (found["missing_keys"], "has no weights for"),
        (unexpected, "has weights that the model has no place for:"),
        (mismatched, "has weights of another shape for"),
    ):
        if keys:
            listed = ", ".join(sorted(keys)[:NAMED_KEYS])
            more = f" and {len(keys) - NAMED_KEYS} more" if len(keys) > NAMED_KEYS else ""
            raise ExportError(
                f"{folder} {words} {listed}{more}; config.json and weights do not belong to one {architecture.class_name}"
            )


def _examples(model: Any, settings: processor.Settings | None, folder: Path) -> tuple[tuple[str, ...], tuple[torch.Tensor, ...]]:  # noqa: ANN401
    """Names and one row of what the model takes, by its main input."""
    config, generator = model.config, torch.Generator().manual_seed(0)
    if model.main_input_name == "pixel_values":
        rows, columns = processor.size(settings, config.to_dict()) or (SIDE, SIDE)
        return ("pixel_values",), (torch.rand(1, getattr(config, "num_channels", 3), rows, columns, generator=generator),)
    if model.main_input_name == "input_features":
        bins, frames = config.num_mel_bins, 2 * config.max_source_positions
        return ("input_features",), (torch.rand(1, bins, frames, generator=generator),)
    if model.main_input_name == "input_ids":
        # RoBERTa counts positions from 2.
        length = min(TOKENS, getattr(config, "max_position_embeddings", TOKENS + 2) - 2)
        tokens = torch.randint(0, config.vocab_size, (1, length), generator=generator)
        mask = torch.ones_like(tokens)
        mask[:, length - length // 4 :] = 0
        return ("input_ids", "attention_mask"), (tokens, mask)
    raise ExportError(
        f"{folder}: {type(model).__name__} takes {model.main_input_name}; only pictures, spectra and token ids come in"
    )


def _labels(config: Any) -> tuple[str, ...]:  # noqa: ANN401
    """Names in the order of the scores; empty where transformers made them up."""
    names = getattr(config, "id2label", None) or {}
    ordered = tuple(str(names[index]) for index in sorted(names))
    return () if ordered == tuple(f"LABEL_{index}" for index in range(len(ordered))) else ordered
