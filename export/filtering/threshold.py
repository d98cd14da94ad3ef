"""The threshold for a recall bound that counts events.

The events' scores in the calibration part are in no way special among those to come (that is the assumption: the same camera, the
same kind of events). Then the share of coming events above the (m+1)-th smallest of n scores is at least R with the confidence
that Clopper and Pearson give to n - m successes in n trials, whatever the scores look like (Wilks 1941). So m is the largest
number for which that is enough, fixed before any score is looked at; where even m = 0 is not enough, the bound cannot be shown.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from isthmus.contract.binomial import lower_bound, misses_allowed, trials_needed
from isthmus.errors import ExportError
from isthmus.export.filtering import events
from isthmus.export.filtering.parting import Stretch

MARGIN = 1e-3
"""Relative; another machine's floats may not make an event that passed here fail there."""
_DRAWS = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    """Where the filter parts frames.

    Attributes:
        value: least score of a frame that passes.
        certified: whether the events were enough to show the bound.
        recall_shown: share of events that passes, as far as they show with the confidence asked for.
        missed_frames_max: 95% upper bound on the share of frames with something to see that are dropped, but no less than the
            share of events that may be.
    """

    value: float
    certified: bool
    recall_shown: float
    missed_frames_max: float


def choose(
    stretches: Sequence[Stretch], scores: Sequence[np.ndarray], *, recall_min: float, confidence: float, uncertified: bool
) -> Threshold:
    """Choose the threshold.

    Args:
        stretches: of the calibration part.
        scores: for each of them float32[frame].
        recall_min: share of events that shall pass.
        confidence: of that.
        uncertified: where there are too few events, take the threshold that passes all of them, and `recall_min` of their frames.

    Raises:
        ExportError: too few events, and not `uncertified`; the message says how many would do.
    """
    frames = _by_event(stretches, scores)
    of_events = np.sort([events.score(one) for one in frames])
    allowed = misses_allowed(len(of_events), recall_min, confidence)
    if allowed is None and not uncertified:
        raise ExportError(too_few(len(of_events), recall_min, confidence))
    value = float(of_events[allowed or 0])
    if allowed is None:
        value = min(value, float(np.quantile(np.concatenate(frames), 1 - recall_min)))
    value -= MARGIN * max(1.0, abs(value))
    passed = sum(events.score(one) >= value for one in frames)
    return Threshold(
        value=value,
        certified=allowed is not None,
        recall_shown=lower_bound(passed, len(frames), confidence),
        missed_frames_max=max(1 - recall_min, _missed_frames(frames, value)),
    )


def too_few(count: int, recall_min: float, confidence: float) -> str:
    """What so few events can show, and how many would be needed."""
    shown, needed = lower_bound(count, count, confidence), trials_needed(recall_min, confidence)
    return (
        f"the calibration part has {count} events, which show a recall of {shown:.1%} with {confidence:.0%} confidence if all "
        f"pass; {recall_min:.1%} is wanted, which takes {needed} that all pass; give more film, a lower --recall or --uncertified"
    )


def _by_event(stretches: Sequence[Stretch], scores: Sequence[np.ndarray]) -> list[np.ndarray]:
    """For each event the scores of its frames with something to see."""
    return [of_event(one, event, given) for one, given in zip(stretches, scores, strict=True) for event in one.events]


def of_event(stretch: Stretch, event: events.Event, scores: np.ndarray) -> np.ndarray:
    """Scores of the frames of an event with something to see."""
    inside = slice(event.first, event.last + 1)
    found: np.ndarray = scores[inside][stretch.seen[inside]]
    return found


def _missed_frames(frames: Sequence[np.ndarray], value: float) -> float:
    """Upper bound on the share of frames below a threshold; events are drawn anew, for their frames stand or fall together."""
    missed = np.array([int((one < value).sum()) for one in frames])
    counts = np.array([len(one) for one in frames])
    drawn = np.random.default_rng(0).integers(0, len(frames), (_DRAWS, len(frames)))
    return float(np.percentile(missed[drawn].sum(axis=1) / counts[drawn].sum(axis=1), 95))
