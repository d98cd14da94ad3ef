"""A stretch of a model's layers as a torch module: transformers' own forward with the other layers taken out.

The forward keeps what it does for all layers at once (masks, positions, windows). The list of layers is cut, and with it every
list of the configuration that has an entry for each layer. Layers go on under their own numbers, for some compute with them;
the cache subtracts the first of them. Where hidden states come in, they replace what the forward hands to the first layer; where
they go out, they are caught behind the last layer, before any norm. Weights are those of the whole model, not copies.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from isthmus.errors import ExportError
from isthmus.export.language.builder import Stretch
from isthmus.export.language.traced.model import cache_name


@dataclass(slots=True, eq=False)
class _Call:
    """What a call of the module has to do with its hooks."""

    hidden: torch.Tensor | None = None
    kept: torch.Tensor | None = None
    given: list[torch.Tensor] = field(default_factory=list)


class Slice(torch.nn.Module):
    """A stretch of layers with explicit caches.

    Args:
        model: of transformers, whole; stays as it is.
        stretch: which part.

    Raises:
        ExportError: no list of layers is found in it.
    """

    def __init__(self, model: Any, stretch: Stretch) -> None:  # noqa: ANN401
        super().__init__()
        self.stretch = stretch
        self._call = _Call()
        self._cache_name = cache_name(model)
        # Tensors are not copied.
        shared = {id(tensor): tensor for tensor in (*model.parameters(), *model.buffers())}
        self._model = copy.deepcopy(model, shared)
        self._hook(_shorten(self._model, stretch))

    def forward(self, rows: torch.Tensor, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Go on with a sequence.

        Args:
            rows: int64[1, row] of token ids, or float32[1, row, width] of hidden states.
            tensors: where logits come out, int64[kept] first, the rows that get any; then keys and values of the layers in turn.

        Returns:
            Logits or hidden states, and keys and values, longer by the rows.
        """
        kept, pasts = (tensors[0], tensors[1:]) if self.stretch.predicts else (None, tensors)
        cache = _cache(self.stretch, pasts)
        self._call.hidden, self._call.kept, self._call.given = None if self.stretch.embeds else rows, kept, []
        entry = {"input_ids": rows} if self.stretch.embeds else {"inputs_embeds": torch.zeros_like(rows)}
        module = self._model if self.stretch.predicts else self._model.base_model
        answer = module(**entry, **{self._cache_name: cache}, use_cache=True)
        given = answer.logits if self.stretch.predicts else self._call.given[0]
        return (given, *(tensor for layer in cache.layers for tensor in (layer.keys, layer.values)))

    def _hook(self, layers: torch.nn.ModuleList) -> None:
        call = self._call

        def enter(_module: object, args: tuple[Any, ...], named: dict[str, Any]) -> Any:  # noqa: ANN401
            if call.hidden is None:
                return None
            return ((call.hidden, *args[1:]), named) if args else (args, {**named, "hidden_states": call.hidden})

        def leave(_module: object, _args: object, output: Any) -> None:  # noqa: ANN401
            call.given.append(output[0] if isinstance(output, tuple) else output)

        def keep(_module: object, args: tuple[torch.Tensor]) -> tuple[torch.Tensor]:
            return args if call.kept is None else (args[0][:, call.kept],)

        layers[0].register_forward_pre_hook(enter, with_kwargs=True)
        layers[-1].register_forward_hook(leave)
        self._model.get_output_embeddings().register_forward_pre_hook(keep)


def _shorten(model: Any, stretch: Stretch) -> torch.nn.ModuleList:  # noqa: ANN401
    """Take the other layers out; those that are left."""
    count = model.config.num_hidden_layers
    found = [
        (name, module)
        for name, module in model.base_model.named_modules()
        if isinstance(module, torch.nn.ModuleList) and len(module) == count
    ]
    if not found:
        raise ExportError(f"{type(model).__name__} has no list of {count} layers")
    name, layers = found[0]
    parent = model.base_model.get_submodule(name.rpartition(".")[0])
    left = torch.nn.ModuleList(list(layers)[stretch.first : stretch.last])
    setattr(parent, name.rpartition(".")[2], left)
    for config in {
        id(one): one for one in (model.config, model.base_model.config, getattr(parent, "config", model.config))
    }.values():
        for key, value in list(vars(config).items()):
            if isinstance(value, list | tuple) and len(value) == count:
                setattr(config, key, list(value)[stretch.first : stretch.last])
        config.num_hidden_layers = stretch.layers
    return left


def _cache(stretch: Stretch, pasts: Sequence[torch.Tensor]) -> Any:  # noqa: ANN401
    from transformers import DynamicCache

    class Stretched(DynamicCache):
        """A cache of some layers, which name themselves by their numbers in the whole model."""

        def update(self, key_states: torch.Tensor, value_states: torch.Tensor, layer_idx: int, *args: Any, **named: Any) -> Any:  # noqa: ANN401
            return super().update(key_states, value_states, layer_idx - stretch.first, *args, **named)

    cache = Stretched()
    for index in range(stretch.layers if pasts else 0):
        cache.update(pasts[2 * index], pasts[2 * index + 1], stretch.first + index)
    return cache
