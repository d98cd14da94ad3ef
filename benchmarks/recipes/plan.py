"""What is trained, as data."""

from collections.abc import Sequence
from dataclasses import dataclass

from isthmus.export.training import recipe as recipes
from isthmus.export.training.recipe import Recipe


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One training.

    Attributes:
        recipe: name of one that comes with Isthmus, or a TOML file.
        channels: of the codes; None takes the recipe's.
        rate_weight: of what codes cost; None takes the recipe's.
        gradient_norm_max: that no step passes; None takes the recipe's.
    """

    recipe: str
    channels: int | None = None
    rate_weight: float | None = None
    gradient_norm_max: float | None = None

    @property
    def setting(self) -> str:
        """For tables."""
        told = ["its channels" if self.channels is None else f"{self.channels} channels"]
        told += [] if self.rate_weight is None else [f"rate {self.rate_weight:g}"]
        told += [] if self.gradient_norm_max is None else [f"gradients to {self.gradient_norm_max:g}"]
        return ", ".join(told)

    @property
    def resolved(self) -> Recipe:
        """The recipe with what the point changes in it, but for what `isthmus export` is told."""
        recipe = recipes.load(self.recipe)
        if self.gradient_norm_max is None:
            return recipe
        return recipe.model_copy(update={"gradient_norm_max": self.gradient_norm_max})


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
        Point(recipe="bottlefit", channels=3, gradient_norm_max=2.0),
        Point(recipe="bottlefit", channels=12, gradient_norm_max=2.0),
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
