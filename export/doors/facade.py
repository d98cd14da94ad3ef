"""A torch module seen from outside as its ONNX model is, see `isthmus.export.doors.outside`: float32, with a batch."""

from typing import Any

import torch
from torch.utils import _pytree


class Float32(torch.nn.Module):
    """Takes float32 and gives float32 around a module of other types."""

    def __init__(self, module: torch.nn.Module, dtypes: tuple[torch.dtype | None, ...]) -> None:
        super().__init__()
        self.module, self.dtypes = module, dtypes

    def forward(self, *inputs: torch.Tensor) -> Any:  # noqa: ANN401
        """The answer of the module, each half-precision tensor as float32; an input of dtype None is passed as it is."""
        cast = [value if dtype is None else value.to(dtype) for value, dtype in zip(inputs, self.dtypes, strict=True)]
        return _pytree.tree_map(_widened, self.module(*cast))


def _widened(leaf: object) -> object:
    if isinstance(leaf, torch.Tensor) and leaf.dtype in {torch.float16, torch.bfloat16}:
        return leaf.float()
    return leaf


class WithBatch(torch.nn.Module):
    """Takes a batch around a module that takes one picture, one after the other."""

    def __init__(self, module: torch.nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, pictures: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Every tensor of the answers, with an axis for the pictures in front."""
        answers = [_pytree.tree_leaves(self.module(picture)) for picture in pictures]
        return tuple(torch.stack(rows) for rows in zip(*answers, strict=True) if isinstance(rows[0], torch.Tensor))
