"""What is trained, as data."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One training.

    Attributes:
        recipe: name of one that comes with Isthmus, or a TOML file.
        channels: of the codes; None takes the recipe's.
        rate_weight: of what codes cost; None takes the recipe's.
    """

    recipe: str
    channels: int | None = None
    rate_weight: float | None = None

    @property
    def setting(self) -> str:
        """For tables."""
        channels = "its channels" if self.channels is None else f"{self.channels} channels"
        return channels if self.rate_weight is None else f"{channels}, rate {self.rate_weight:g}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How much is done.

    Attributes:
        name: folder of the results.
        network: as `isthmus export` takes it.
        shape: of the tensor at the cut, the last one of that shape.
        learning, reporting: photos to learn from, and to report on.
        epochs: how often each photo is seen, in every recipe.
        points: to train.
    """

    name: str
    network: str
    shape: tuple[int, int, int]
    learning: int
    reporting: int
    epochs: float
    points: Sequence[Point]


FULL = Scale(
    name="full",
    network="benchmarks.codec.networks:resnet_56",
    shape=(32, 16, 16),
    learning=3000,
    reporting=5000,
    epochs=10,
    points=[
        Point(recipe="isthmus", channels=3),
        Point(recipe="isthmus", channels=6),
        Point(recipe="isthmus", channels=12),
        Point(recipe="bottlefit", channels=3),
        Point(recipe="bottlefit", channels=12),
        Point(recipe="entropic", rate_weight=5.12),
        Point(recipe="entropic", rate_weight=0.64),
        Point(recipe="ghnd", channels=3),
        Point(recipe="ghnd", channels=12),
        Point(recipe="hnd", channels=3),
        Point(recipe="hnd", channels=12),
    ],
)

QUICK = Scale(
    name="quick",
    network="benchmarks.recipes.photos:tiny",
    shape=(32, 16, 16),
    learning=32,
    reporting=16,
    epochs=1,
    points=[Point(recipe="isthmus", channels=3), Point(recipe="hnd", channels=3)],
)
"""Of a network that knows nothing, on noise: shows that it works, and says nothing else."""
