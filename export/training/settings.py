"""How one training is run: the recipe, the time, and what the command changes in the recipe."""

from dataclasses import dataclass, field

from isthmus.export.training import recipe as recipes
from isthmus.export.training.recipe import Recipe

BUDGET_S = 300.0
"""Where neither the command nor the recipe says how long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingSettings:
    """One training.

    Attributes:
        recipe: what is trained how.
        budget_s: wall time of everything; None takes the recipe's epochs, or five minutes where it has none.
        steps: instead of a time, for runs that can be repeated to the bit.
        batch: None takes the recipe's.
        rate_weight: of what codes cost; None takes the recipe's.
        target_bytes: of a picture's payload; the rate weight becomes what meets it, see `steering`. None: the weight stays.
        nested: whether prefixes of the channels are operating points too; None takes the recipe's.
        seed: of weights, order and views.
        teachers: networks from which the answers are learned in place of the unsplit one's, as `open_model` takes them.
    """

    recipe: Recipe = field(default_factory=recipes.load)
    budget_s: float | None = None
    steps: int | None = None
    batch: int | None = None
    rate_weight: float | None = None
    target_bytes: int | None = None
    nested: bool | None = None
    seed: int = 0
    teachers: tuple[str, ...] = ()

    @property
    def resolved(self) -> Recipe:
        """The recipe with what the command changes in it."""
        given = {"batch": self.batch, "nested": self.nested}
        made = self.recipe.model_copy(update={name: value for name, value in given.items() if value is not None})
        if self.target_bytes is not None:
            return made.with_codec_rate(self.rate_weight)
        return made if self.rate_weight is None else made.with_rate(self.rate_weight)

    def steps_for(self, pictures: int) -> int | None:
        """The number of steps where it is known without a clock: given, or of the recipe's epochs."""
        if self.steps is not None or self.budget_s is not None:
            return self.steps
        made = self.resolved
        if made.epochs is None:
            return None
        return max(len(made.stages), round(made.epochs * max(1, pictures // min(made.batch, pictures))))

    def time_for(self, pictures: int) -> float | None:
        """Seconds that training may take; None where the number of steps is known."""
        if self.steps_for(pictures) is not None:
            return None
        return BUDGET_S if self.budget_s is None else self.budget_s
