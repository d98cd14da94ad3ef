"""Networks built node by node from the configuration, for the families that the builder knows."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from isthmus.contract.manifest import Gate
from isthmus.errors import ExportError
from isthmus.export.language import blueprint, reference
from isthmus.export.language.builder import Builder
from isthmus.export.language.padding import open_tensors
from isthmus.export.language.settings import LanguageSettings, Part
from isthmus.export.language.tensors import FolderTensors
from isthmus.export.language.workshop import Built, Workshop


class DirectWorkshop(Workshop):
    """Builds networks of one model, whose weights are read piece by piece; arguments are those of `Workshop`.

    Raises:
        ExportError: the configuration is damaged, or has settings that the builder does not know.
    """

    def __init__(self, folder: Path, *, place: Path, on_step: Callable[[str], None]) -> None:
        super().__init__(folder, place=place, on_step=on_step)
        self.outline = self._plan = blueprint.read(folder)

    def check(self, settings: LanguageSettings) -> None:
        """Everything can be built."""

    def plain(self, parts: Sequence[Part], *, positions: int) -> list[Built]:
        """As every workshop, and sees that no weight is left over."""
        with open_tensors(self.folder, self._plan) as tensors:
            built = [self._build(replace(part, weights="float32"), tensors, positions) for part in parts]
            if unread := tensors.unread(tied=self._plan.tied):
                named = f"{', '.join(unread[:3])}{' and more' if len(unread) > 3 else ''}"
                architecture = self._plan.architecture
                raise ExportError(f"{self.folder}: {architecture} has weights that its builder does not know: {named}")
        return built

    def shipped(self, parts: Sequence[Part], plain: Sequence[Built], *, positions: int) -> list[Built]:
        """As every workshop: what is quantised is built anew."""
        return [
            one if part.weights == one.part.weights else self._again(part, one, positions)
            for part, one in zip(parts, plain, strict=True)
        ]

    def build(self, part: Part, *, positions: int) -> Built:
        """As every workshop."""
        with open_tensors(self.folder, self._plan) as tensors:
            return self._build(part, tensors, positions)

    def logits(self, ids: np.ndarray, *, keep: int) -> np.ndarray:
        """As every workshop, with the weights of one layer in memory at a time."""
        return reference.logits(self.folder, ids, keep=keep)

    @property
    def gates(self) -> tuple[Gate, ...]:
        """None beside those that all networks pass."""
        return ()

    def _again(self, part: Part, plain: Built, positions: int) -> Built:
        for path in plain.files.values():
            path.unlink()
        return self.build(part, positions=positions)

    def _build(self, part: Part, tensors: FolderTensors, positions: int) -> Built:
        stretch = part.stretch
        self.on_step(f"building {part.name} in {part.weights}, layers {stretch.first} to {stretch.last - 1}")
        builder = Builder(self._plan, tensors, positions=positions, weights=part.weights)
        network = builder.write(self.place / part.name, stretch)
        return Built(part=part, path=network.path, parameters=network.parameters)
