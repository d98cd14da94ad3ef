"""What all stages of one split of the photos have in common: photos, networks to begin with, and how photos are prepared."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from benchmarks.headline import codecs, fitting
from benchmarks.headline.fitting import Lesson
from benchmarks.headline.folds import Split
from benchmarks.headline.photos import Photos
from benchmarks.headline.plan import QUICK_WIDTH, Scale
from benchmarks.mobilenet import MobileNetV2, begin, for_classes, imagenet
from torch.nn import functional

from isthmus.contract.prepare import Preparation
from isthmus.export import preprocessing
from isthmus.export.samples import prepared


@dataclass(frozen=True, kw_only=True, eq=False)
class Material:
    """One split of the photos and what is made of it.

    Attributes:
        photos: all of them.
        split: which of them teach.
        scale: what is made.
        epochs: of every training but the teacher's.
        data: folder with ImageNet's weights; None: the network learns from nothing.
    """

    photos: Photos
    split: Split
    scale: Scale
    epochs: float
    data: Path | None

    @property
    def digest(self) -> str:
        """Of the photos' parts: another number of folds is another split under the same name."""
        parts = (self.split.learning, self.split.choosing, self.split.reporting)
        return hashlib.sha256(b"".join(part.astype("<i8").tobytes() + b"|" for part in parts)).hexdigest()[:16]

    def pictures_by(self, codec: str) -> list[codecs.Setting]:
        """Settings of one codec."""
        return [setting for setting in self.scale.pictures if setting.codec == codec]

    def preparation(self, side: int | None = None) -> Preparation:
        """Of a photo for a network of `side`; smaller inputs are averaged, which suits small networks better."""
        side = side or self.scale.side
        interpolation = "bilinear" if side == self.scale.side else "area"
        changes = {"width": side, "height": side, "interpolation": interpolation}
        return preprocessing.PRESETS["imagenet"].model_copy(update=changes)

    def judged_photos(self) -> np.ndarray:
        """int64[n]: what every contender is asked about, to choose by and to report on."""
        return np.sort(np.concatenate([self.split.choosing, self.split.reporting]))

    def judged(self) -> list[np.ndarray]:
        """The same as pictures."""
        return self.photos.pictures(self.judged_photos())

    def begun(self) -> MobileNetV2:
        """The network before it learns the classes."""
        classes = len(self.photos.names)
        if self.data is None:
            return begin(MobileNetV2(classes, width=QUICK_WIDTH))
        return for_classes(imagenet(self.data), classes)

    def lesson(
        self,
        shown: Preparation,
        said: np.ndarray | None = None,
        degrade: fitting.Degrade = lambda picture, _photo, _number: picture,
    ) -> Lesson:
        """The photos to learn from, as a network gets them.

        Args:
            shown: preparation of the network that learns.
            said: by the teacher to each view, see `fitting.Lesson`; None: nothing.
            degrade: see `fitting.Degrade`.
        """
        return Lesson(
            pictures=self.photos.pictures(self.split.learning),
            labels=self.photos.labels[self.split.learning],
            preparation=self.preparation(),
            shown=shown,
            targets=said,
            degrade=degrade,
        )

    def chance_of_truth(self, network: MobileNetV2, shown: Preparation) -> float:
        """Mean logarithm of the chance that a network gives the right class of the photos to choose by."""
        pictures = prepared(self.photos.pictures(self.split.choosing), shown)
        with torch.no_grad():
            said = torch.cat([network(batch) for batch in torch.from_numpy(pictures).split(32)])
        truth = torch.from_numpy(self.photos.labels[self.split.choosing])
        return -float(functional.cross_entropy(said, truth))
