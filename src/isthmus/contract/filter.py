"""What a bundle says of its neural filter, the network on the codes that decides whether a frame is worth sending.

`filter.onnx` takes the tensors of the boundary by their names, [batch, ...] as the tail does, and gives `score` float32[batch], a
logit. A frame passes if its score is at least `FilterRecord.threshold`.

An **event** is a stretch of frames with something to see, with pauses of at most `pause_s`; two things in view at a time
are one event. An event **passes** if at least EVENT_SHARE of its frames with something to see do. Recall is counted in events,
because the frames of one event stand or fall together: a thousand frames of one visitor say no more about the next one than one.
"""

from fractions import Fraction
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from isthmus.contract.metric import Metric

FILTER = "filter.onnx"
SCORE = "score"
"""File of the network, and name of its output."""
EVENT_SHARE = Fraction(4, 5)
"""If one frame were enough, a filter that passes every tenth frame by chance would recall every event of some length. If all were
needed, the first and the last frame would decide, where half a thing is in view and labels are a matter of taste."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Presence(_Part):
    """When an answer of the bundle's network says that there is something to see."""

    kind: Literal["boxes", "classes"]
    names: tuple[str, ...] = ()
    """`boxes`: the classes whose boxes count; empty: all. `classes`: the classes that mean nothing; all others count."""
    score_min: float = Field(default=0.0, ge=0, le=1)
    """Of a box."""


class FilterFigures(_Part):
    """What the filter did on one part of the film."""

    part: Literal["train", "calibration", "test"]
    frames: int = Field(ge=0)
    """Frames in the pauses of events count here only: nobody knows whether something is to be seen in them."""
    seen: int = Field(ge=0)
    """Frames with something to see."""
    empty: int = Field(ge=0)
    """Frames outside of all events."""
    events: int = Field(ge=0)
    recall_events: Metric
    """Share of events that pass, with the two-sided 95% interval of Clopper and Pearson."""
    recall_frames: float = Field(ge=0, le=1)
    """Share of the frames with something to see that pass. Frames of one event are no independent trials: no interval."""
    empty_dropped: float = Field(ge=0, le=1)
    """Share of the empty frames that the filter drops."""
    auc: float | None = Field(default=None, ge=0, le=1)
    """Area under the ROC curve over frames: how often a frame with something to see scores above an empty one."""
    payload_bytes: float = Field(default=0.0, ge=0)
    """Mean payload of a frame that the filter drops, at the first operating point and on its own: what is saved with each."""


class FilterRecord(_Part):
    """How the filter was made, and what it promises."""

    threshold: float
    """Least score of a frame that passes."""
    head: str
    """File of the head on whose codes it was trained and calibrated."""
    recall_min: float = Field(gt=0, lt=1)
    """Share of events that passes at least."""
    confidence: float = Field(gt=0, lt=1)
    certified: bool
    """Whether the calibration part had events enough to show `recall_min` with `confidence`."""
    recall_shown: float = Field(ge=0, le=1)
    """What the calibration part does show with `confidence`: the lower bound of Clopper and Pearson."""
    missed_frames_max: float = Field(ge=0, le=1)
    """Share of the frames with something to see that may be dropped; the audit on the device raises its alarm above it."""
    pause_s: float = Field(ge=0)
    labels: str
    """Where it was known from in which frames something is to be seen."""
    film: tuple[str, ...]
    parting: str
    """How the film was parted, in words."""
    presence: Presence | None = None
    """When an answer says that there is something to see; None: answers do not tell, and nothing can be audited."""
    figures: tuple[FilterFigures, ...] = ()
    flops: int = Field(default=0, ge=0)
    parameters: int = Field(default=0, ge=0)
    filter_us: float | None = Field(default=None, ge=0)
    """Median times of one frame on the machine that made it, one thread."""
    head_us: float | None = Field(default=None, ge=0)
    encode_us: float | None = Field(default=None, ge=0)
    seed: int = 0

    @property
    def promise(self) -> str:
        """What it promises, in words."""
        shown = f"with {self.confidence:.0%} confidence at least {self.recall_shown:.1%} of the events pass"
        return shown if self.certified else f"not certified: {shown}, {self.recall_min:.1%} were wanted"
