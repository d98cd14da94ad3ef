"""What is measured, as data: the points of the split, the networks that run on the device alone, and the pictures.

Points, networks and pictures were written down before any of them was measured, in the order in which they are made. How often
photos are seen and where bands of pictures end was changed later, to fit an evening and not by what was found.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.headline.codecs import Setting, settings
from benchmarks.headline.fitting import Fit

from isthmus.export.training import recipe as recipes

CUT = "conv2d_20"
"""The last layer of MobileNetV2's seventh block: 64 channels at a sixteenth of the picture."""
POINT_TIMES = 2
"""A bottleneck learns from nothing, every rival goes on from trained weights: it sees the photos so many times as often."""
TEACHER_VIEWS = recipes.Views(count=6, mirror=True, crop_min=0.35, aspect_max=1.25, light=0.2)
"""Labels teach, so that no view may be mixed."""
RELEASED_BYTES_MAX = 400
"""What the released point may take for a photo; of those points that do, the one that is best on photos to choose by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A bottleneck.

    Attributes:
        name: of the point among those of its recipe.
        channels, bits: of the codes; None takes the recipe's.
        recipe: by which it is trained.
        rate_weight: of what codes cost in the loss; None takes the recipe's.
        target_bytes: of a photo, for which training finds that weight; None: the weight stays.
        nested: half and a quarter of the channels are points too.
        seed: of weights and order.
    """

    name: str
    channels: int | None = None
    bits: int | None = None
    recipe: str = "isthmus"
    rate_weight: float | None = None
    target_bytes: int | None = None
    nested: bool = False
    seed: int = 0

    @property
    def title(self) -> str:
        """Name of its stage."""
        return self.name if self.recipe == recipes.DEFAULT else f"{self.recipe} {self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Local:
    """A network that runs on the device alone.

    Attributes:
        side: of its input.
        width: of its layers, over the teacher's.
        blocks: of the teacher's 17; fewer is an early exit.
    """

    side: int
    width: float = 1.0
    blocks: int = 17

    @property
    def name(self) -> str:
        """For stages and tables."""
        width = "" if self.width == 1 else f" width {self.width:g}"
        blocks = "" if self.blocks == 17 else f" exit {self.blocks}"
        return f"{self.side}px{width}{blocks}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How much is done.

    Attributes:
        name: folder of the results.
        side: of the teacher's square input.
        teacher: how it is trained; of every other training the command says the epochs.
        batch: of every other training of a whole network.
        points: of the recipe `isthmus`.
        seeded: points of other seeds beside the released one.
        recipes: points of the other recipes.
        locals: networks on the device alone.
        pictures: settings of all codecs.
        bounds: mean bytes at which bands of pictures end; a network is adapted to each codec and band.
    """

    name: str
    side: int
    teacher: Fit
    batch: int
    points: Sequence[Point]
    seeded: Sequence[Point]
    recipes: Sequence[Point]
    locals: Sequence[Local]
    pictures: Sequence[Setting]
    bounds: Sequence[int]


FULL = Scale(
    name="full",
    side=224,
    teacher=Fit(epochs=14, learning_rate=2e-4, last_rate=10.0, frozen=7),
    batch=32,
    points=[
        Point(name="c6 to 380 B", channels=6, bits=4, target_bytes=380),
        Point(name="c6", channels=6, bits=4),
        Point(name="c12 to 390 B", channels=12, bits=4, target_bytes=390),
        Point(name="c3", channels=3, bits=4),
        Point(name="c12", channels=12, bits=4),
        Point(name="c12 to 600 B", channels=12, bits=4, target_bytes=600),
        Point(name="c24", channels=24, bits=4),
        Point(name="c24 to 1200 B", channels=24, bits=4, target_bytes=1200),
        Point(name="c6 to 260 B", channels=6, bits=4, target_bytes=260),
        Point(name="c3 to 160 B", channels=3, bits=4, target_bytes=160),
        Point(name="c12 nested", channels=12, bits=4, nested=True),
    ],
    seeded=[Point(name=f"c6 to 380 B seed {seed}", channels=6, bits=4, target_bytes=380, seed=seed) for seed in (1, 2)],
    recipes=[
        Point(name="12x8", recipe="bottlefit"),
        Point(name="3x8", recipe="bottlefit", channels=3),
        Point(name="rate 0.64", recipe="entropic"),
        Point(name="rate 5.12", recipe="entropic", rate_weight=5.12),
        Point(name="3x8", recipe="ghnd"),
        Point(name="3x8", recipe="hnd"),
    ],
    locals=[
        Local(side=96),
        Local(side=80),
        Local(side=128),
        Local(side=160, width=0.35),
        Local(side=128, width=0.5),
        Local(side=64),
        Local(side=160),
        Local(side=160, width=0.5),
        Local(side=128, blocks=7),
    ],
    pictures=[
        *settings("webp", {96: (1, 10, 25, 45), 128: (1, 10, 25, 45), 160: (1, 10, 25, 45), 224: (1, 10, 25)}),
        *settings("avif", {96: (20, 45), 128: (10, 20, 30, 45), 160: (10, 20, 30, 45), 224: (10, 20, 30, 45)}),
        *settings("jpeg", {64: (20, 40), 96: (10, 20, 35), 128: (10, 20, 35, 50), 160: (10, 20, 35), 224: (10, 20)}),
    ],
    bounds=(1600, 5000),
)

QUICK = Scale(
    name="quick",
    side=64,
    teacher=Fit(epochs=24, learning_rate=2e-3, batch=16),
    batch=16,
    points=[Point(name="c6", channels=6, bits=4), Point(name="c6 to 40 B", channels=6, bits=4, target_bytes=40)],
    seeded=[Point(name="c6 to 40 B seed 1", channels=6, bits=4, target_bytes=40, seed=1)],
    recipes=[Point(name="3x8", recipe="hnd")],
    locals=[Local(side=32), Local(side=48, width=0.5), Local(side=48, blocks=7)],
    pictures=[
        *settings("webp", {32: (10, 50), 64: (10, 50)}),
        *settings("avif", {32: (20, 50), 64: (20, 50)}),
        *settings("jpeg", {32: (10, 50), 64: (10, 50)}),
    ],
    bounds=(600, 3000),
)
"""Everything, of tiny networks on drawn pictures: shows that it works, and says nothing else."""
QUICK_PHOTOS = 400
QUICK_WIDTH = 0.25
"""Of the network that learns the drawn pictures from nothing."""
