"""What the unsplit network gives on every training sample, computed once: the targets of distillation."""

from dataclasses import dataclass

import numpy as np
import torch

from isthmus.contract.prepare import Preparation
from isthmus.export.cutting.split import Halves
from isthmus.export.graph.flow import name_of
from isthmus.export.graph.session import Session
from isthmus.export.samples import Samples, prepared

FEATURE_BATCH = 64


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Teacher:
    """What the unsplit network gives on every training sample."""

    pictures: list[np.ndarray]
    preparation: Preparation
    features: torch.Tensor
    variance: float
    scores: torch.Tensor
    labels: torch.Tensor | None

    def batch(self, indices: np.ndarray) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor | None]:
        """Prepared pictures, features at the cut, class scores and labels of the samples at `indices`."""
        pictures = torch.from_numpy(prepared([self.pictures[index] for index in indices], self.preparation)).contiguous(
            memory_format=torch.channels_last
        )
        chosen = torch.from_numpy(indices)
        labels = None if self.labels is None else self.labels[chosen]
        return pictures, self.features[chosen].float(), self.scores[chosen], labels


def teach(halves: Halves, samples: Samples, preparation: Preparation) -> Teacher:
    """Run the teacher once over all samples."""
    head, tail = Session(halves.head, threads=2), Session(halves.tail, threads=2)
    cut = name_of(halves.head.graph.outputs[0])
    features, scores = [], []
    for start in range(0, len(samples), FEATURE_BATCH):
        pictures = prepared(samples.pictures[start : start + FEATURE_BATCH], preparation)
        crossing = head.run({head.inputs[0]: pictures})
        features.append(_compact(torch.from_numpy(crossing[cut])))
        scores.append(torch.from_numpy(tail.run(crossing)[tail.outputs[0]]).float())
    classes = samples.classes((), scores[0].shape[1] if scores[0].ndim == 2 else 0)
    everything = torch.cat(features)
    variance = float(everything[:512].float().var(0).mean()) + 1e-6
    return Teacher(
        pictures=list(samples.pictures),
        preparation=preparation,
        features=everything,
        variance=variance,
        scores=torch.cat(scores).flatten(1),
        labels=None if classes is None else torch.from_numpy(classes),
    )


def _compact(features: torch.Tensor) -> torch.Tensor:
    """As float16 where all values fit, which halves the memory and changes nothing at the weight of a training target."""
    return features.half() if float(features.abs().max()) < torch.finfo(torch.float16).max else features
