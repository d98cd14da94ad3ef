"""How a bottleneck is trained, as data: a TOML file with everything but the network, the pictures and the time.

    isthmus export ... --recipe ghnd            one of those that come with Isthmus
    isthmus export ... --recipe mine.toml       your own; start from a copy of one of these

`docs/recipes.md` explains the keys. A key that does not exist is refused, for a misspelt one would silently train something else.
"""

import difflib
import tomllib
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from isthmus.errors import ConfigError, UsageError

FOLDER = "isthmus.export.training.recipes"
DEFAULT = "isthmus"
BYTES_MAX = 1 << 20
"""Of a recipe file; the longest that comes with Isthmus has 2 kB."""
CUT = "cut"
"""Selector of the tensor at the cut itself."""
LEVELS = "levels"
"""Selector of the end of every resolution behind the cut."""

RATE_START = 0.05
"""Weight of the rate to begin with where a number of bytes is to be met."""

Module = Literal["encoder", "decoder", "tail"]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Views(_Part):
    """What is shown of a photo beside the photo itself."""

    count: int = Field(default=1, ge=1, le=64)
    """Views of each photo, the first of which is the photo as it is prepared on the device."""
    mirror: bool = False
    """Half of the others are mirrored."""
    crop_min: float = Field(default=1.0, gt=0, le=1)
    """Smallest part of the area that a view shows."""
    aspect_max: float = Field(default=1.0, ge=1, le=4)
    """Largest stretch of a crop's sides against each other."""
    light: float = Field(default=0.0, ge=0, lt=1)
    """Largest change of contrast, and three quarters of it of brightness."""
    mixup: float = Field(default=0.0, ge=0, le=1)
    """Part of the other views that are mixed with a view of another photo; what such a picture shows no label tells."""


class Optimiser(_Part):
    """What moves the weights."""

    kind: Literal["adam", "adamw", "sgd"] = "adamw"
    learning_rate: float = Field(gt=0)
    weight_decay: float = Field(default=0.0, ge=0)
    momentum: float = Field(default=0.0, ge=0, lt=1)
    """Of `sgd`."""
    tail_rate: float = Field(default=1.0, gt=0)
    """Part of the learning rate at which the tail is trained, if it is."""


class Schedule(_Part):
    """The learning rate over a stage, as a part of the optimiser's."""

    kind: Literal["constant", "cosine", "steps"] = "constant"
    warm_up: int = Field(default=0, ge=0)
    """Steps until the rate is full."""
    end: float = Field(default=0.0, ge=0, le=1)
    """Of `cosine`: what is left at the end of the stage."""
    at: tuple[float, ...] = ()
    """Of `steps`: parts of the stage after which the rate is multiplied by `factor`."""
    factor: float = Field(default=0.1, gt=0, le=1)


class Matched(_Part):
    """Tensors of the unsplit network that the split one shall have too."""

    at: str = CUT
    """`cut`, `levels` for the last tensor of every resolution behind it, a part of the tail's FLOPs as `40%`, or a name."""
    weight: float = Field(default=1.0, gt=0)


class Answers(_Part):
    """What is asked of the answers behind the tail."""

    distillation: float = Field(default=1.0, ge=0)
    """Weight of the distance to the unsplit network's answers: of chances for a classifier, else of the raw outputs."""
    temperature: float = Field(default=1.0, gt=0)
    """Of chances; their divergence counts times its square."""
    labels: float = Field(default=0.0, ge=0)
    """Weight of the cross entropy with the labels, where `--data` has class folders."""
    smoothing: float = Field(default=0.0, ge=0, lt=1)
    """Of the labels."""
    own: str = ""
    """`package.module:function` of a loss of your own, see `docs/recipes.md`."""
    own_weight: float = Field(default=1.0, gt=0)


class Rate(_Part):
    """What the codes cost."""

    weight: float = Field(ge=0)
    by: Literal["codec", "prior"] = "codec"
    """`codec`: mean bits of a code by tables of the shipped codec. `prior`: bits of a picture by a factorised prior that is
    trained along."""


class Stage(_Part):
    """A part of the training."""

    name: str = Field(min_length=1, max_length=40)
    share: float = Field(gt=0, le=1)
    """Of all steps."""
    trains: tuple[Module, ...] = ("encoder", "decoder")
    """What learns; everything else keeps its weights."""
    features: tuple[Matched, ...] = ()
    error: Literal["variance", "sum"] = "variance"
    """Of features: `variance` is the mean squared error over the tensor's variance, `sum` the sum of squares over the batch."""
    answers: Answers | None = None
    rate: Rate | None = None
    int8: bool = False
    """The encoder computes as its int8 head will, see `fake_int8`."""
    optimiser: Optimiser
    schedule: Schedule = Schedule()

    @model_validator(mode="after")
    def _learns_something(self) -> "Stage":
        if not self.trains or len(set(self.trains)) != len(self.trains):
            raise ValueError(f"stage {self.name!r} trains {self.trains}; name encoder, decoder or tail, each once")
        if not self.features and self.answers is None:
            raise ValueError(f"stage {self.name!r} has neither features nor answers to learn from")
        return self


class Recipe(_Part):
    """The whole of a recipe."""

    name: str = Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    about: str = ""
    """Where it comes from and what it does."""
    pair: str = "isthmus"
    """Encoder and decoder: a name of `export.training.pairs`, or `package.module:function` of your own."""
    channels: int = Field(default=8, ge=1, le=1024)
    """Of the codes, unless the command says so."""
    bits: int = Field(default=4, ge=1, le=8)
    """Of a code, unless the command says so."""
    nested: bool = False
    """Whether half and a quarter of the channels are operating points too, see `nesting`."""
    quantiser: Literal["trained", "noise", "after"] = "trained"
    """`trained`: codes are rounded while the encoder learns, the gradient passes. `noise`: uniform noise stands for the rounding
    until the encoder is frozen. `after`: nothing is rounded, and scales are found when training is over."""
    batch: int = Field(default=32, ge=1, le=4096)
    epochs: float | None = Field(default=None, gt=0)
    """How often every photo is seen, unless the command gives a time."""
    gradient_norm_max: float | None = Field(default=None, gt=0)
    views: Views = Views()
    stages: tuple[Stage, ...] = Field(min_length=1, max_length=8)

    @model_validator(mode="after")
    def _is_whole(self) -> "Recipe":
        total = sum(stage.share for stage in self.stages)
        if abs(total - 1) > 1e-6:
            raise ValueError(f"the shares of the stages add up to {total:g}, they must to 1")
        names = [stage.name for stage in self.stages]
        if len(set(names)) != len(names):
            raise ValueError(f"two stages share a name: {', '.join(names)}")
        labelled = next((stage.name for stage in self.stages if stage.answers is not None and stage.answers.labels), None)
        if self.views.mixup and labelled is not None:
            raise ValueError(f"stage {labelled!r} learns from labels, which mixed views do not have; set labels or mixup to 0")
        return self

    @property
    def trains_tail(self) -> bool:
        """Whether any stage changes the tail's weights."""
        return any("tail" in stage.trains for stage in self.stages)

    def stage_at(self, progress: float) -> tuple[int, float]:
        """Index of the stage after a part of all steps, and the part of it that is over, both below 1."""
        begun = 0.0
        for index, stage in enumerate(self.stages):
            if progress < begun + stage.share or index == len(self.stages) - 1:
                return index, min(1.0, max(0.0, (progress - begun) / stage.share))
            begun += stage.share
        raise AssertionError

    def with_rate(self, weight: float) -> "Recipe":
        """The same with another weight of the rate: where it has one, else in its last stage by the codec's tables."""
        rated = [index for index, stage in enumerate(self.stages) if stage.rate is not None] or [len(self.stages) - 1]
        stages = [
            stage.model_copy(update={"rate": (stage.rate or Rate(weight=0)).model_copy(update={"weight": weight})})
            if index in rated
            else stage
            for index, stage in enumerate(self.stages)
        ]
        return self.model_copy(update={"stages": tuple(stages)})

    def with_codec_rate(self, weight: float | None) -> "Recipe":
        """The same with a rate by the codec's tables wherever the encoder learns: what it takes to meet a number of bytes.

        Args:
            weight: to begin with; None takes each stage's own, or 0.05.

        Raises:
            UsageError: the recipe rates its codes by a prior.
        """
        if any(stage.rate is not None and stage.rate.by == "prior" for stage in self.stages):
            raise UsageError(f"recipe {self.name} rates its codes by a prior, which knows no bytes; give --rate-weight instead")
        stages = [
            stage.model_copy(update={"rate": Rate(weight=_positive(weight, None if stage.rate is None else stage.rate.weight))})
            if "encoder" in stage.trains
            else stage
            for stage in self.stages
        ]
        return self.model_copy(update={"stages": tuple(stages)})


def _positive(*weights: float | None) -> float:
    return next((weight for weight in weights if weight), RATE_START)


def names() -> list[str]:
    """Recipes that come with Isthmus."""
    found = (entry.name for entry in resources.files(FOLDER).iterdir())
    return sorted(name.removesuffix(".toml") for name in found if name.endswith(".toml"))


def load(reference: str = DEFAULT) -> Recipe:
    """Read a recipe.

    Args:
        reference: name of one that comes with Isthmus, or path of a TOML file.

    Raises:
        UsageError: there is no recipe of this name and no such file.
        ConfigError: the file cannot be read or is no recipe; one line says what is wrong where.
    """
    known = names()
    if reference in known:
        return parse((resources.files(FOLDER) / f"{reference}.toml").read_text(encoding="utf-8"), reference)
    path = Path(reference)
    if not path.is_file():
        close = difflib.get_close_matches(reference, known, n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise UsageError(f"there is no recipe {reference!r} and no such file; known: {', '.join(known)}{hint}")
    try:
        with path.open("rb") as file:
            text = file.read(BYTES_MAX).decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"recipe {path} cannot be read: {error}") from error
    return parse(text, str(path))


def parse(text: str, origin: str) -> Recipe:
    """Read a recipe from TOML.

    Args:
        text: of the file.
        origin: its name, for messages.

    Raises:
        ConfigError: this is no TOML, or no recipe.
    """
    try:
        return Recipe.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"recipe {origin} is no TOML: {error}") from error
    except ValidationError as error:
        raise ConfigError(f"recipe {origin}: {_one_line(error)}") from error


def _one_line(error: ValidationError) -> str:
    found = error.errors(include_url=False)
    # A misspelt key is why another one is missing.
    first = next((one for one in found if one["type"] == "extra_forbidden"), found[0])
    places = first["loc"]
    where = ".".join(map(str, places))
    if first["type"] == "extra_forbidden":
        known = _keys(places[:-1])
        close = difflib.get_close_matches(str(places[-1]), known, n=1)
        hint = f"; did you mean {close[0]}?" if close else f"; known here: {', '.join(known)}"
        return f"there is no key {where}{hint}"
    if first["type"] == "missing":
        return f"{where} is missing"
    words = " ".join(first["msg"].removeprefix("Value error, ").split())
    return f"{where} = {first['input']!r}: {words}" if where and not isinstance(first["input"], dict) else words


def _keys(places: Sequence[str | int]) -> list[str]:
    """Keys of the part of a recipe at a place."""
    parts: dict[str, type[BaseModel]] = {
        "views": Views,
        "stages": Stage,
        "optimiser": Optimiser,
        "schedule": Schedule,
        "features": Matched,
        "answers": Answers,
        "rate": Rate,
    }
    named = [place for place in places if isinstance(place, str)]
    return list((parts[named[-1]] if named else Recipe).model_fields)
