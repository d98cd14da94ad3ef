"""Where the networks of one export are built: a folder that is gone afterwards."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from isthmus.errors import ExportError
from isthmus.export.language.blueprint import Blueprint
from isthmus.export.language.builder import Builder
from isthmus.export.language.network import NetworkFile
from isthmus.export.language.padding import open_tensors
from isthmus.export.language.settings import Part
from isthmus.export.language.tensors import FolderTensors


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Built:
    """A network that was built.

    Attributes:
        part: what it is.
        network: its files.
    """

    part: Part
    network: NetworkFile

    @property
    def path(self) -> Path:
        """Of the ONNX file."""
        return self.network.path

    @property
    def size_bytes(self) -> int:
        """Of the file and of the weights beside it."""
        return sum(path.stat().st_size for path in self.network.files.values())


class Workshop:
    """Builds networks of one model.

    Args:
        folder: of the model.
        plan: of the model.
        positions: longest sequence that the networks take.
        place: where they are put.
        on_step: told in words what is being done.
    """

    def __init__(self, folder: Path, plan: Blueprint, *, positions: int, place: Path, on_step: Callable[[str], None]) -> None:
        self._folder = folder
        self._plan = plan
        self._positions = positions
        self._place = place
        self._on_step = on_step

    def plain(self, parts: Sequence[Part]) -> list[Built]:
        """Build the whole model in float32, and see that no weight of it was left over.

        Raises:
            ExportError: weights are missing or left over, or the disk is full.
        """
        with open_tensors(self._folder, self._plan) as tensors:
            built = [self._build(replace(part, weights="float32"), tensors) for part in parts]
            if unread := tensors.unread(tied=self._plan.tied):
                named = f"{', '.join(unread[:3])}{' and more' if len(unread) > 3 else ''}"
                architecture = self._plan.architecture
                raise ExportError(f"{self._folder}: {architecture} has weights that its builder does not know: {named}")
        return built

    def shipped(self, parts: Sequence[Part], plain: Sequence[Built]) -> list[Built]:
        """The same networks in the weights that are asked for; those in float32 are taken as they are, the others removed.

        Raises:
            ExportError: the disk is full.
        """
        return [
            one if part.weights == one.part.weights else self._again(part, one) for part, one in zip(parts, plain, strict=True)
        ]

    def build(self, part: Part) -> Built:
        """Build one network.

        Raises:
            ExportError: weights are missing, or the disk is full.
        """
        with open_tensors(self._folder, self._plan) as tensors:
            return self._build(part, tensors)

    def _again(self, part: Part, plain: Built) -> Built:
        for path in plain.network.files.values():
            path.unlink()
        return self.build(part)

    def _build(self, part: Part, tensors: FolderTensors) -> Built:
        stretch = part.stretch
        self._on_step(f"building {part.name} in {part.weights}, layers {stretch.first} to {stretch.last - 1}")
        builder = Builder(self._plan, tensors, positions=self._positions, weights=part.weights)
        return Built(part=part, network=builder.write(self._place / part.name, stretch))
