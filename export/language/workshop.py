"""Where the networks of one export are made: a folder that is gone afterwards."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from isthmus.contract.manifest import Gate
from isthmus.export.language.network import DATA
from isthmus.export.language.outline import Outline
from isthmus.export.language.settings import LanguageSettings, Part


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Built:
    """A network that was made.

    Attributes:
        part: what it is.
        path: of the ONNX file.
        parameters: weights and biases in it.
    """

    part: Part
    path: Path
    parameters: int

    @property
    def files(self) -> dict[str, Path]:
        """Name -> path of what was written."""
        return {path.name: path for path in (self.path, self.path.with_name(self.path.name + DATA)) if path.exists()}

    @property
    def size_bytes(self) -> int:
        """Of the file and of the weights beside it."""
        return sum(path.stat().st_size for path in self.files.values())


class Workshop(ABC):
    """Makes networks of one model.

    Args:
        folder: of the model.
        place: where they are put.
        on_step: told in words what is being done.
    """

    outline: Outline

    def __init__(self, folder: Path, *, place: Path, on_step: Callable[[str], None]) -> None:
        self.folder = folder
        self.place = place
        self.on_step = on_step

    @abstractmethod
    def check(self, settings: LanguageSettings) -> None:
        """See that what is asked for can be made.

        Raises:
            UsageError: it cannot.
        """

    @abstractmethod
    def plain(self, parts: Sequence[Part], *, positions: int) -> list[Built]:
        """Make the whole model in float32.

        Args:
            parts: the networks in order.
            positions: longest sequence that they take.

        Raises:
            ExportError: weights are missing or left over, the model cannot be cut, or the disk is full.
        """

    @abstractmethod
    def shipped(self, parts: Sequence[Part], plain: Sequence[Built], *, positions: int) -> list[Built]:
        """The same networks in the weights that are asked for; those in float32 are taken as they are, the others removed.

        Raises:
            ExportError: the disk is full.
        """

    @abstractmethod
    def build(self, part: Part, *, positions: int) -> Built:
        """Make one network.

        Raises:
            ExportError: weights are missing, or the disk is full.
        """

    @abstractmethod
    def logits(self, ids: np.ndarray, *, keep: int) -> np.ndarray:
        """Logits of the unsplit model, computed by transformers' own code, of one sequence in one call without a cache.

        Args:
            ids: int64[row].
            keep: how many of the last rows get logits.

        Returns:
            float32[keep, vocabulary].

        Raises:
            ExportError: transformers cannot make the model, or weights are missing.
        """

    @property
    @abstractmethod
    def gates(self) -> tuple[Gate, ...]:
        """What was checked while `plain` made the networks."""
