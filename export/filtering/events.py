"""Events: stretches of frames with something to see. They are what recall counts, and what no part of the film may share."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from isthmus.contract.filter import EVENT_SHARE


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One event of a film.

    Attributes:
        first: index of its first frame with something to see.
        last: of its last one.
    """

    first: int
    last: int


def find(seen: np.ndarray, pause: int) -> list[Event]:
    """The events of a film, in order.

    Args:
        seen: bool[frame], whether there is something to see.
        pause: so many frames without may lie within an event: detectors blink.

    >>> find(np.array([0, 1, 0, 1, 0, 0, 1], bool), pause=1)
    [Event(first=1, last=3), Event(first=6, last=6)]
    """
    frames = np.flatnonzero(seen)
    if not len(frames):
        return []
    breaks = np.flatnonzero(np.diff(frames) > pause + 1)
    firsts, lasts = frames[np.r_[0, breaks + 1]], frames[np.r_[breaks, len(frames) - 1]]
    return [Event(first=int(first), last=int(last)) for first, last in zip(firsts, lasts, strict=True)]


def outside(frames: int, events: Sequence[Event]) -> np.ndarray:
    """bool[frame]: outside of all events. The pauses within one are neither empty nor seen."""
    free = np.ones(frames, bool)
    for event in events:
        free[event.first : event.last + 1] = False
    return free


def score(scores: np.ndarray) -> float:
    """Score of an event: it passes a threshold just if the event's score is at least that.

    Args:
        scores: float[n], of its frames with something to see.

    >>> score(np.array([3.0, 1.0, 2.0, 5.0, 4.0]))
    2.0
    """
    needed = math.ceil(EVENT_SHARE * len(scores))
    return float(np.sort(scores)[len(scores) - needed])
