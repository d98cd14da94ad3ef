"""Heads of a width that onnxruntime's rotary kernel does not take, widened with zeros.

It takes multiples of 16. A head is widened in each of its two halves, for those are what is rotated against each other: zeros in
queries and keys add nothing to their products, zeros in values come out as zeros, and the output projection has zeros for them.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from isthmus.errors import ExportError
from isthmus.export.language.blueprint import Blueprint
from isthmus.export.language.tensors import FolderTensors

OUT = tuple(f".{name}_proj.{kind}" for name in ("q", "k", "v", "qkv") for kind in ("weight", "bias"))
"""Whose first axis is that of heads."""
IN = (".o_proj.weight",)
"""Whose last axis is."""
NORMS = (".q_norm.weight", ".k_norm.weight")


def open_tensors(folder: Path, plan: Blueprint) -> FolderTensors:
    """The weights of a folder, with heads as wide as the network has them.

    Raises:
        ExportError: no weights are there, or they are damaged.
    """
    return FolderTensors(folder) if plan.head_width == plan.network_head_width else PaddedTensors(folder, plan)


class PaddedTensors(FolderTensors):
    """Weights in which every head is widened.

    Args:
        folder: of the model.
        plan: of the model.
    """

    def __init__(self, folder: Path, plan: Blueprint) -> None:
        super().__init__(folder)
        self._plan = plan

    def read(self, name: str) -> np.ndarray:
        """As ever, or widened.

        Raises:
            ExportError: also where heads are normed, which zeros would change.
        """
        if name.endswith(NORMS):
            width = self._plan.head_width
            raise ExportError(f"heads of {width} values that are normed are not built: onnxruntime takes multiples of 16")
        if name.endswith(OUT):
            return self._widened(super().read(name), axis=0)
        return self._widened(super().read(name), axis=1) if name.endswith(IN) else super().read(name)

    def shape(self, name: str) -> tuple[int, ...]:
        """As it is read."""
        shape = list(super().shape(name))
        for ends, axis in ((OUT, 0), (IN, 1)):
            if name.endswith(ends):
                shape[axis] = shape[axis] // self._plan.head_width * self._plan.network_head_width
        return tuple(shape)

    def rows(self, name: str) -> Iterator[np.ndarray]:
        """As ever, or widened in one piece."""
        return iter([self.read(name)]) if name.endswith((*OUT, *IN)) else super().rows(name)

    def columns(self, name: str) -> Iterator[np.ndarray]:
        """As ever, or widened in one piece."""
        return iter([self.read(name).T]) if name.endswith((*OUT, *IN)) else super().columns(name)

    def _widened(self, array: np.ndarray, *, axis: int) -> np.ndarray:
        width, wide = self._plan.head_width, self._plan.network_head_width
        moved = np.moveaxis(array, axis, 0)
        heads = moved.reshape(-1, 2, width // 2, *moved.shape[1:])
        padded = np.zeros((len(heads), 2, wide // 2, *moved.shape[1:]), np.float32)
        padded[:, :, : width // 2] = heads
        return np.moveaxis(padded.reshape(-1, *moved.shape[1:]), 0, axis)
