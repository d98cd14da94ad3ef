"""A model of a folder as transformers makes it, whole and in memory, and what is to be known of it."""

import inspect
from pathlib import Path
from typing import Any

import numpy as np
import torch

from isthmus.contract.language import KeyValues
from isthmus.errors import ExportError
from isthmus.export.doors import architectures, processor
from isthmus.export.doors.tracing import quiet
from isthmus.export.language import blueprint
from isthmus.export.language.outline import Outline

POSITIONS = 4096
"""Of a model whose configuration says none, because nothing in it depends on a longest sequence."""
CACHE_NAMES = ("cache", "past_key_values")
"""What models call the cache that they take, new name first."""


def load(folder: Path) -> Any:  # noqa: ANN401 - a class of transformers, by the folder
    """The whole model, in float32 and with attention that is written out in operators.

    Raises:
        ExportError: transformers does not know it, or its weights do not fit.
    """
    config = processor.read_json(folder / "config.json")
    name = architectures.named(config)
    if "auto_map" in config:
        raise ExportError(f"{folder}: {name} needs code that comes with the model, which is not run")
    with quiet():
        from transformers import AutoModelForCausalLM

        makes: Any = AutoModelForCausalLM.from_pretrained  # which has no types
        try:
            model, said = makes(
                str(folder),
                local_files_only=True,
                use_safetensors=True,
                dtype=torch.float32,
                attn_implementation="eager",
                output_loading_info=True,
            )
        except Exception as reason:  # transformers, huggingface_hub and safetensors raise kinds of their own
            raise ExportError(f"{folder}: transformers does not make {name} of it: {_line(reason)}") from reason
    if type(model).__name__ != name:
        raise ExportError(f"{folder}: config.json names {name}, but transformers makes a {type(model).__name__} of it")
    _check_weights(folder, name, said)
    return model.eval().requires_grad_(requires_grad=False)


def outline(folder: Path, model: Any) -> Outline:  # noqa: ANN401
    """What is to be known of a model before it is cut.

    Raises:
        ExportError: its cache holds something else than keys and values of every layer.
    """
    config = model.config
    return Outline(
        architecture=type(model).__name__,
        layers=config.num_hidden_layers,
        width=config.hidden_size,
        vocabulary=config.vocab_size,
        windows=_windows(config),
        positions_max=getattr(config, "max_position_embeddings", None) or POSITIONS,
        cache="grown",
        key_values=_key_values(folder, model),
    )


def cache_name(model: Any) -> str:  # noqa: ANN401
    """What a model calls the cache that it takes."""
    taken = inspect.signature(model.forward).parameters
    return next((name for name in CACHE_NAMES if name in taken), CACHE_NAMES[-1])


def logits(model: Any, ids: np.ndarray, *, keep: int) -> np.ndarray:  # noqa: ANN401
    """Logits of the unsplit model, of one sequence in one call without a cache.

    Args:
        model: whole.
        ids: int64[row].
        keep: how many of the last rows are wanted.

    Returns:
        float32[keep, vocabulary].
    """
    with torch.inference_mode(), quiet():
        return np.asarray(model(input_ids=torch.from_numpy(ids)[None], use_cache=False).logits[0, -keep:].numpy())


def _windows(config: Any) -> tuple[int | None, ...]:  # noqa: ANN401
    """As `blueprint.windows`, and GPT-Neo's, which are of another name."""
    other = getattr(config, "window_size", None)
    return (other,) * config.num_hidden_layers if isinstance(other, int) else blueprint.windows(config)


def _check_weights(folder: Path, name: str, said: dict[str, Any]) -> None:
    for kind, problem in (("missing_keys", "has no weights"), ("unexpected_keys", "has weights that it does not know:")):
        names = sorted(map(str, said.get(kind, ())))
        if names:
            raise ExportError(f"{folder}: {name} {problem} {', '.join(names[:3])}{' and more' if len(names) > 3 else ''}")
    if said.get("mismatched_keys"):
        raise ExportError(f"{folder}: weights of {name} are of other shapes than config.json says")


def _key_values(folder: Path, model: Any) -> tuple[KeyValues, ...]:  # noqa: ANN401
    """Of a real cache, after a token: configurations of several families say something else."""
    with torch.inference_mode(), quiet():
        answer = model(input_ids=torch.zeros((1, 1), dtype=torch.long), use_cache=True)
    cache = next((getattr(answer, name) for name in CACHE_NAMES if getattr(answer, name, None) is not None), None)
    layers = getattr(cache, "layers", [])
    name, wanted = type(model).__name__, model.config.num_hidden_layers
    held: list[tuple[Any, Any]] = [(getattr(layer, "keys", None), getattr(layer, "values", None)) for layer in layers]
    if len(held) != wanted or any(keys is None or values is None or keys.ndim != 4 for keys, values in held):
        kinds = ", ".join(dict.fromkeys(type(layer).__name__ for layer in layers)) or "nothing"
        raise ExportError(
            f"{folder}: {name} does not keep keys and values of each of its {wanted} layers (its cache holds {kinds}), "
            "and a model that keeps anything else cannot be cut"
        )
    groups: list[KeyValues] = []
    for keys, values in held:
        heads, width = keys.shape[1], keys.shape[3]
        if values.shape != keys.shape:
            raise ExportError(
                f"{folder}: keys of {name} are {width} wide and its values {values.shape[3]}; caches are built for one width"
            )
        before = groups.pop() if groups and (groups[-1].heads, groups[-1].width) == (heads, width) else None
        groups.append(KeyValues(layers=1 if before is None else before.layers + 1, heads=heads, width=width))
    return tuple(groups)


def _line(reason: BaseException) -> str:
    return (str(reason).strip().splitlines() or [type(reason).__name__])[0]
