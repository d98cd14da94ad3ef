"""The weights of a folder, one tensor at a time: shards are mapped, not read."""

import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np

from isthmus.errors import ExportError
from isthmus.export.doors import processor

SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"
ROW_VALUES, COLUMN_VALUES = 1 << 18, 1 << 22
"""Of a matrix that is read in pieces: rows of 1 MB, on which arithmetic stays in a core's cache; columns of 16 MB, for they lie
in short runs in the file."""
LEFT_OUT = ("rotary_emb.inv_freq",)
"""Ends of the names of tensors that older folders hold and that follow from the configuration."""


class FolderTensors:
    """Tensors by name; a context, which closes the files.

    Args:
        folder: with `model.safetensors`, or shards and their index.

    Raises:
        ExportError: no weights are there, or they are damaged.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._place = _places(folder)
        self._open: dict[str, Any] = {}
        self._asked: set[str] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *ignored: object) -> None:
        self._open.clear()

    def __contains__(self, name: str) -> bool:
        return name in self._place

    def read(self, name: str) -> np.ndarray:
        """One tensor as float32, a copy.

        Raises:
            ExportError: there is none of that name, or its file is damaged.
        """
        return _float32(self._slice(name)[:])

    def shape(self, name: str) -> tuple[int, ...]:
        """Of a tensor, without reading it.

        Raises:
            ExportError: as `read`.
        """
        return tuple(self._slice(name).get_shape())

    def size(self, name: str) -> int:
        """Number of values of a tensor, as the folder has it."""
        return math.prod(self._slice(name).get_shape())

    def rows(self, name: str) -> Iterator[np.ndarray]:
        """A matrix in pieces of some rows as float32, in order.

        Raises:
            ExportError: as `read`.
        """
        height, width = self.shape(name)
        part = self._slice(name)
        step = max(1, ROW_VALUES // width)
        for first in range(0, height, step):
            yield _float32(part[first : first + step])

    def take(self, name: str, rows: Sequence[int]) -> np.ndarray:
        """Some rows of a matrix as float32[row, column].

        Raises:
            ExportError: as `read`.
        """
        part = self._slice(name)
        return np.concatenate([_float32(part[row : row + 1]) for row in rows])

    def columns(self, name: str) -> Iterator[np.ndarray]:
        """A matrix in pieces of some columns, transposed: float32[column, row], in order.

        Raises:
            ExportError: as `read`.
        """
        height, width = self.shape(name)
        part = self._slice(name)
        step = max(1, COLUMN_VALUES // height)
        for first in range(0, width, step):
            yield _float32(part[:, first : first + step]).T

    def unread(self, *, tied: bool) -> list[str]:
        """Tensors that nobody has asked for and that mean something; of tied weights, the copy means nothing."""
        left_out = (*LEFT_OUT, "lm_head.weight") if tied else LEFT_OUT
        return sorted(name for name in self._place if name not in self._asked and not name.endswith(left_out))

    def forget(self) -> None:
        """Close the files: what was mapped of them counts as memory of this process until then."""
        self._open.clear()

    def _slice(self, name: str) -> Any:  # noqa: ANN401 - of safetensors
        if name not in self._place:
            raise ExportError(f"{self._folder} has no weights {name}; config.json and weights do not belong together")
        self._asked.add(name)
        try:
            return self._file(self._place[name]).get_slice(name)
        except Exception as reason:  # safetensors has one kind of error for everything
            raise ExportError(f"{self._folder / self._place[name]} cannot be read: {reason}") from reason

    def _file(self, name: str) -> Any:  # noqa: ANN401
        if name not in self._open:
            from safetensors import SafetensorError, safe_open

            try:
                self._open[name] = safe_open(str(self._folder / name), framework="pt")
            except (OSError, SafetensorError) as reason:
                raise ExportError(f"{self._folder / name} cannot be read: {reason}") from reason
        return self._open[name]


def _float32(tensor: Any) -> np.ndarray:  # noqa: ANN401
    import torch  # numpy has no bfloat16

    return np.asarray(tensor.to(torch.float32).numpy())


def _places(folder: Path) -> dict[str, str]:
    """Tensor -> file."""
    if (folder / INDEX).is_file():
        found = processor.read_json(folder / INDEX).get("weight_map")
        if not isinstance(found, dict) or not all(isinstance(file, str) and Path(file).name == file for file in found.values()):
            raise ExportError(f"{folder / INDEX} has no weight_map of files beside it")
        return found
    path = folder / SINGLE
    if not path.is_file():
        raise ExportError(f"{folder} has no {SINGLE}; pickled weights are not read, save them with save_pretrained")
    try:
        with path.open("rb") as stream:
            size = int.from_bytes(stream.read(8), "little")
            header = json.loads(stream.read(size)) if size < path.stat().st_size else None
    except (OSError, ValueError) as reason:
        raise ExportError(f"{path} cannot be read: {reason}") from reason
    if not isinstance(header, dict):
        raise ExportError(f"{path} is no file of safetensors")
    return {name: SINGLE for name in header if name != "__metadata__"}
