"""Networks traced from slices of transformers' own module, for the families that the builder does not know."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from isthmus.contract.manifest import Gate
from isthmus.errors import ExportError, UsageError
from isthmus.export.language.settings import LanguageSettings, Part
from isthmus.export.language.traced import checking, model, network
from isthmus.export.language.traced.slices import Slice
from isthmus.export.language.workshop import Built, Workshop


class TracedWorkshop(Workshop):
    """Traces networks of one model, which it holds in memory; arguments are those of `Workshop`.

    Raises:
        ExportError: transformers does not make the model, or it keeps something else than keys and values.
    """

    def __init__(self, folder: Path, *, place: Path, on_step: Callable[[str], None]) -> None:
        super().__init__(folder, place=place, on_step=on_step)
        on_step(f"loading {folder} with transformers; its graph is traced, for no builder knows its architecture")
        self._model = model.load(folder)
        self._gates: list[Gate] = []
        self.outline = model.outline(folder, self._model)

    def check(self, settings: LanguageSettings) -> None:
        """See that no weights shall be quantised.

        Raises:
            UsageError: they shall.
        """
        asked = {"--head-weights": settings.head_weights, "--tail-weights": settings.tail_weights, "--local": settings.local}
        for option, weights in asked.items():
            if weights not in (None, "float32"):
                name = self.outline.architecture
                raise UsageError(f"{option} {weights}: {name} is traced, and weights of traced models are not quantised")

    def plain(self, parts: Sequence[Part], *, positions: int) -> list[Built]:
        """As every workshop, after its slices were compared with the whole."""
        self.on_step("comparing slices of the model with the whole, in torch")
        slices = [Slice(self._model, part.stretch) for part in parts]
        self._gates.append(checking.check(self.folder, self._model, self.outline, slices, positions=positions))
        return [self._trace(part, one) for part, one in zip(parts, slices, strict=True)]

    def shipped(self, parts: Sequence[Part], plain: Sequence[Built], *, positions: int) -> list[Built]:
        """As they are."""
        return list(plain)

    def build(self, part: Part, *, positions: int) -> Built:
        """As every workshop."""
        return self._trace(part, Slice(self._model, part.stretch))

    def logits(self, ids: np.ndarray, *, keep: int) -> np.ndarray:
        """As every workshop."""
        return model.logits(self._model, ids, keep=keep)

    @property
    def gates(self) -> tuple[Gate, ...]:
        """That slices are the whole."""
        return tuple(self._gates)

    def _trace(self, part: Part, one: Slice) -> Built:
        stretch = part.stretch
        self.on_step(f"tracing {part.name}, layers {stretch.first} to {stretch.last - 1}")
        shapes = checking.layer_shapes(self.outline)[stretch.first : stretch.last]
        path = self.place / part.name
        try:
            parameters = network.trace(one, shapes, width=self.outline.width, path=path)
        except ExportError as reason:
            raise ExportError(f"{self.folder}: {self.outline.architecture} cannot be traced: {reason}") from reason
        return Built(part=part, path=path, parameters=parameters)
