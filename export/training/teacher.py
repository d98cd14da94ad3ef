"""What the unsplit network gives on every training sample, computed once: the targets of distillation."""

from dataclasses import dataclass

import numpy as np
import torch

from isthmus.contract.prepare import Preparation
from isthmus.export.cutting.split import Halves
from isthmus.export.graph.flow import name_of
from isthmus.export.graph.session import Session
from isthmus.export.samples import Samples, prepared
from isthmus.export.training.objective import SEEN, VARIANCE_MIN, compact

FEATURE_BATCH = 64


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Teacher:
    """What the unsplit network gives on every training sample.

    Attributes:
        pictures: as they were read.
        preparation: how they become its input.
        features: float[sample, ...], the tensor at the cut.
        variance: of the features over the samples, averaged over all places.
        outputs: float[sample, ...] each, or of another type.
    """

    pictures: list[np.ndarray]
    preparation: Preparation
    features: torch.Tensor
    variance: float
    outputs: tuple[torch.Tensor, ...]

    def batch(self, indices: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        """Prepared pictures and features at the cut of the samples at `indices`."""
        pictures = torch.from_numpy(prepared([self.pictures[index] for index in indices], self.preparation))
        if self.preparation.layout == "nchw":
            pictures = pictures.contiguous(memory_format=torch.channels_last)
        return pictures, self.features[torch.from_numpy(indices)].float()


def teach(halves: Halves, samples: Samples, preparation: Preparation) -> Teacher:
    """Run the teacher once over all samples."""
    head, tail = Session(halves.head, threads=2), Session(halves.tail, threads=2)
    cut = name_of(halves.head.graph.outputs[0])
    features: list[torch.Tensor] = []
    answers: list[list[torch.Tensor]] = []
    for start in range(0, len(samples), FEATURE_BATCH):
        pictures = prepared(samples.pictures[start : start + FEATURE_BATCH], preparation)
        crossing = head.run({head.inputs[0]: pictures})
        features.append(compact(torch.from_numpy(crossing[cut])))
        answers.append([torch.from_numpy(array) for array in tail.run(crossing).values()])
    everything = torch.cat(features)
    return Teacher(
        pictures=list(samples.pictures),
        preparation=preparation,
        features=everything,
        variance=float(everything[:SEEN].float().var(0).mean()) + VARIANCE_MIN,
        outputs=tuple(torch.cat(parts) for parts in zip(*answers, strict=True)),
    )
