"""Where the unsplit network's answers are kept while a bottleneck is trained: in memory while they are few, else in a file.

The file is mapped, so that it costs the memory that happens to be free; it has no name, and is gone when nothing holds it.
"""

import os
import tempfile
from collections.abc import Sequence

import numpy as np
import torch

from isthmus.errors import ExportError

MEMORY_MAX_BYTES = 1 << 30
"""Of all tensors together; more goes to a file in TMPDIR."""
HALF_MAX = float(np.finfo(np.float16).max)
NEAR = 16
"""Times the first row's largest magnitude that must still fit half precision."""


class Store:
    """Rows of several tensors, written once and read at random.

    Floats are kept in half precision, which changes nothing at the weight of a training target, unless the first row comes near
    the end of its range; a later value beyond it is kept as its largest.

    Args:
        rows: how many there will be.
        first: the first row of each tensor, array[1, ...]; it says shapes and types.

    Raises:
        ExportError: the disk of temporary files is full.
    """

    def __init__(self, rows: int, first: Sequence[np.ndarray]) -> None:
        kinds = [_kind(array) for array in first]
        shapes = [(rows, *array.shape[1:]) for array in first]
        sizes = [int(np.prod(shape)) * kind.itemsize for shape, kind in zip(shapes, kinds, strict=True)]
        self.size_bytes = sum(sizes)
        if self.size_bytes <= MEMORY_MAX_BYTES:
            self._arrays = [np.empty(shape, kind) for shape, kind in zip(shapes, kinds, strict=True)]
            return
        try:
            self._arrays = [_mapped(shape, kind) for shape, kind in zip(shapes, kinds, strict=True)]
        except OSError as error:
            raise ExportError(
                f"the unsplit network's answers to {rows} pictures take {self.size_bytes >> 20} MiB, and {tempfile.gettempdir()} "
                f"has no room for them: {error.strerror}; set TMPDIR to a larger disk, or give fewer pictures or views"
            ) from error

    def put(self, row: int, values: Sequence[np.ndarray]) -> None:
        """Keep array[1, ...] of each tensor."""
        for array, value in zip(self._arrays, values, strict=True):
            array[row] = value[0].clip(-HALF_MAX, HALF_MAX) if array.dtype == np.float16 else value[0]

    def rows(self, indices: np.ndarray) -> list[torch.Tensor]:
        """float32 or the tensor's own type [index, ...] of each tensor, copied."""
        read = [torch.from_numpy(array[indices]) for array in self._arrays]
        return [one.float() if one.dtype == torch.float16 else one for one in read]


def _kind(first: np.ndarray) -> np.dtype[np.generic]:
    if first.dtype.kind != "f":
        return first.dtype
    is_small = bool(np.abs(first.astype(np.float64)).max(initial=0.0) < HALF_MAX / NEAR)
    return np.dtype(np.float16 if is_small else np.float32)


def _mapped(shape: tuple[int, ...], kind: np.dtype[np.generic]) -> np.ndarray:
    """An array in a file without a name, which lives as long as the array."""
    with tempfile.TemporaryFile(prefix="isthmus-teacher-") as file:
        # A full disk would else kill the process when a page is first written.
        os.posix_fallocate(file.fileno(), 0, int(np.prod(shape)) * kind.itemsize)
        return np.memmap(file, dtype=kind, mode="r+", shape=shape)
