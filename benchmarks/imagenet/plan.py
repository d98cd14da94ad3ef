"""What is measured, as data: cuts from a sixth of the network to its end, and the pictures beside them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from benchmarks.headline.codecs import Setting, settings

BYTES_MAX = 1500
DROP_MAX = 0.03
"""What is wanted of the released point: bytes of a photo, and top-1 lost."""
EARLY = 0.5
"""Share of the multiply-adds up to which a head spares the device something."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A cut and what stands there.

    Attributes:
        cut: name of the tensor.
        bottleneck: as `--bottleneck`; `pca` gives points of all, half and a quarter of the channels.
        channels: of `pca`.
        bits: of a code.
    """

    cut: str
    bottleneck: Literal["pca", "none"] = "pca"
    channels: int | None = None
    bits: int = 4

    @property
    def name(self) -> str:
        """For stages and tables."""
        channels = "" if self.channels is None else f" {self.channels} channels"
        return f"{self.cut} {self.bottleneck}{channels} {self.bits} bits"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How much is done.

    Attributes:
        name: folder of the results.
        side: of the network's square input.
        folds: number of them.
        places: of the split.
        locals: sides of inputs of the whole network on the device.
        pictures: that are sent.
    """

    name: str
    side: int
    folds: int
    places: Sequence[Place]
    locals: Sequence[int]
    pictures: Sequence[Setting]


FULL = Scale(
    name="full",
    side=224,
    folds=2,
    places=[
        Place(cut="conv2d_5", channels=4),
        Place(cut="conv2d_11", channels=8),
        Place(cut="add_162", channels=8),
        Place(cut="conv2d_20", channels=32),
        Place(cut="conv2d_20", channels=32, bits=3),
        Place(cut="conv2d_20", channels=28, bits=3),
        Place(cut="conv2d_20", channels=64, bits=2),
        Place(cut="conv2d_20", bottleneck="none", bits=3),
        Place(cut="add_280", channels=32),
        Place(cut="conv2d_32", channels=32),
        Place(cut="add_367", channels=32),
        Place(cut="conv2d_41", channels=80),
        Place(cut="conv2d_41", channels=80, bits=3),
        Place(cut="conv2d_41", channels=160, bits=2),
        Place(cut="conv2d_41", bottleneck="none", bits=3),
        Place(cut="conv2d_41", bottleneck="none", bits=2),
        Place(cut="add_423", channels=80, bits=3),
        Place(cut="add_423", bottleneck="none", bits=3),
        Place(cut="add_454", channels=160, bits=3),
        Place(cut="add_454", bottleneck="none", bits=3),
        Place(cut="conv2d_50", channels=96),
        Place(cut="conv2d_50", channels=240, bits=3),
        Place(cut="conv2d_50", bottleneck="none", bits=2),
        Place(cut="conv2d_50", bottleneck="none", bits=1),
        Place(cut="mean", bottleneck="none"),
        Place(cut="mean", bottleneck="none", bits=2),
        Place(cut="mean", bottleneck="none", bits=1),
    ],
    locals=(224, 192, 160, 128, 96),
    pictures=[
        *settings("webp", {96: (10, 40), 128: (10, 30, 60), 160: (10, 30, 60), 224: (10, 30, 60, 85)}),
        *settings("avif", {96: (20, 45), 128: (20, 35, 55), 160: (20, 35, 55), 224: (20, 35, 55, 70, 80)}),
        *settings("jpeg", {96: (20, 50), 128: (20, 50), 160: (20, 50), 224: (20, 50, 80)}),
    ],
)

QUICK = replace(
    FULL,
    name="quick",
    side=64,
    places=[Place(cut="conv2d_20", channels=8), Place(cut="mean", bottleneck="none")],
    locals=(64, 48),
    pictures=settings("webp", {32: (20,), 64: (20,)}),
)
"""Everything, of a network that has learned nothing, on drawn pictures: shows that it works, and says nothing else."""
QUICK_PHOTOS = 24
