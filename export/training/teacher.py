"""What the unsplit network, or a stronger one, says about every view of every photo, computed once: what is distilled."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from isthmus.contract.prepare import Preparation, prepare
from isthmus.errors import ExportError
from isthmus.export.cutting.split import Halves
from isthmus.export.graph.flow import name_of
from isthmus.export.graph.session import Session
from isthmus.export.samples import Samples, prepared
from isthmus.export.training.ensemble import Ensemble
from isthmus.export.training.recipe import Views
from isthmus.export.training.store import Store
from isthmus.export.training.views import shown

SEEN = 512
"""Rows from which variances are taken."""
VARIANCE_MIN = 1e-6
"""What never varies, as the chance of a class that no picture shows, must not weigh without bound."""
PROBED = 8
"""Photos from which the time of a view is estimated."""
BUDGET_SHARE = 0.2
"""Part of the time for training that may be spent on the unsplit network's answers; fewer views are shown where it is short."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Batch:
    """A few views and what the unsplit network says about them.

    Attributes:
        pictures: float32[row, ...], prepared.
        features: float32[row, ...] of the matched tensors, by name.
        answers: float32[row, ...] or of another type, the outputs in order.
        photos: int64[row], of which samples.
    """

    pictures: torch.Tensor
    features: dict[str, torch.Tensor]
    answers: list[torch.Tensor]
    photos: torch.Tensor

    def to(self, device: torch.device) -> "Batch":
        """The same where it is computed with; which samples they are is read on the CPU."""
        return replace(
            self,
            pictures=self.pictures.to(device),
            features={name: one.to(device) for name, one in self.features.items()},
            answers=[one.to(device) for one in self.answers],
        )


class Teacher:
    """The unsplit network's answers to all views of all samples.

    Args:
        halves: of the unsplit network; one tensor crosses.
        samples: photos.
        preparation: how a view becomes the network's input.
        matched: names of the tensors of the tail that are asked for, the one at the cut among them or not.
        views: of each photo.
        count: of views, as an interrupted training had it; None: as many as there is time for.
        seed: of the views.
        ensemble: whose answers are learned in place of the unsplit network's own; features stay its own. None: there is none.
        budget_s: for training, of which a part may go into this; None: take all views whatever it costs.
        on_row: called after every view with the number of those done and of all.

    Raises:
        ExportError: onnxruntime cannot run the network, or there is no room for its answers.
    """

    def __init__(
        self,
        halves: Halves,
        samples: Samples,
        preparation: Preparation,
        *,
        matched: Sequence[str] = (),
        views: Views | None = None,
        count: int | None = None,
        seed: int = 0,
        ensemble: Ensemble | None = None,
        budget_s: float | None = None,
        on_row: Callable[[int, int], None] = lambda _done, _all: None,
    ) -> None:
        self.samples = samples
        self.preparation = preparation
        self.matched = tuple(matched)
        self.seed = seed
        self._views = views or Views()
        self._head = Session(halves.head, threads=2)
        self._tail = _with_outputs(halves, matched)
        self._ensemble = ensemble
        self._outputs = tuple(name_of(value) for value in halves.tail.graph.outputs)
        self._names = (*self.matched, *self._outputs)
        self.views = count or self._affordable(budget_s)
        self._store = self._filled(on_row, math.inf if count or budget_s is None else BUDGET_SHARE * budget_s)
        # Spread evenly: folders come class by class.
        seen = self._store.rows(np.linspace(0, len(samples) - 1, min(SEEN, len(samples))).round().astype(int))
        self.variances = {
            name: float(rows.var(0, correction=0).mean()) + VARIANCE_MIN for name, rows in zip(self.matched, seen, strict=False)
        }
        self.seen_answers = seen[len(self.matched) :]

    def __len__(self) -> int:
        return len(self.samples)

    def batch(self, photos: np.ndarray, views: np.ndarray | None = None) -> Batch:
        """Views of some photos, int[row] each; without `views` the photos as they are prepared on the device."""
        numbers = np.zeros_like(photos) if views is None else views
        pictures = [self._view(photo, number) for photo, number in zip(photos, numbers, strict=True)]
        seen = torch.from_numpy(prepared(pictures, self.preparation))
        if self.preparation.layout == "nchw":
            seen = seen.contiguous(memory_format=torch.channels_last)
        rows = self._store.rows(numbers * len(self.samples) + photos)
        return Batch(
            pictures=seen,
            features=dict(zip(self.matched, rows, strict=False)),
            answers=rows[len(self.matched) :],
            photos=torch.from_numpy(photos),
        )

    def _view(self, photo: int, number: int) -> np.ndarray:
        return shown(self.samples.pictures, int(photo), int(number), self._views, self.preparation, seed=self.seed)

    def _answer(self, photo: int, number: int) -> list[np.ndarray]:
        """Of each tensor array[1, ...]; one view at a time, so that its answer does not depend on what else is asked."""
        feeds = {self._head.inputs[0]: prepare(self._view(photo, number), self.preparation)}
        crossing = self._head.run(feeds)
        found = crossing | self._tail.run(crossing)
        if self._ensemble is not None:
            found |= self._ensemble.answer(feeds)
        return [found[name] for name in self._names]

    def _affordable(self, budget_s: float | None) -> int:
        """How many views of each photo there is time for."""
        if budget_s is None or self._views.count == 1:
            return self._views.count
        few = range(min(PROBED, len(self.samples)))
        started = time.perf_counter()
        for photo in few:
            self._answer(photo, 0)
        each_s = (time.perf_counter() - started) / len(few) * len(self.samples)
        return min(self._views.count, max(1, int(BUDGET_SHARE * budget_s / each_s)))

    def _filled(self, on_row: Callable[[int, int], None], time_s: float) -> Store:
        """All rows; no further views where those that are done took `time_s`, on a machine that has become slower."""
        if not len(self.samples):
            raise ExportError("training needs pictures, there are none")
        count = len(self.samples)
        store: Store | None = None
        started = time.perf_counter()
        for number in range(self.views):
            for photo in range(count):
                values = self._answer(photo, number)
                if store is None:
                    store = Store(self.views * count, values)
                store.put(number * count + photo, values)
                on_row(number * count + photo + 1, self.views * count)
            if time.perf_counter() - started > time_s:
                self.views = number + 1
                break
        assert store is not None
        return store


def _with_outputs(halves: Halves, names: Sequence[str]) -> Session:
    """The tail, giving some of its inner tensors too."""
    probe = halves.tail.clone()
    present = {name_of(value) for value in (*probe.graph.outputs, *probe.graph.inputs)}
    values = {name_of(value): value for node in probe.graph for value in node.outputs}
    probe.graph.outputs.extend(values[name] for name in names if name not in present)
    return Session(probe, threads=2)
