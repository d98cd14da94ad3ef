"""Which part of the film is for what: training, calibration of the threshold, test.

Neighbouring frames are all but the same, so frames are never drawn: either whole films are for one thing, or a film is cut in
time, between two events, and what is near the cut is left out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from isthmus.errors import ExportError
from isthmus.export.filtering import events
from isthmus.export.filtering.events import Event
from isthmus.export.filtering.footage import Film

Part = Literal["train", "calibration", "test"]
PARTS: tuple[Part, ...] = get_args(Part)
SHARES: dict[Part, float] = {"train": 0.4, "calibration": 0.4, "test": 0.2}
"""Of the events. The calibration's number decides which recall can be shown; training has more use for different scenes."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Stretch:
    """What one film gives to one part.

    Attributes:
        codes: for each boundary tensor int8 or uint8[n, *shape].
        seen: bool[n], whether there is something to see.
        empty: bool[n], outside of all events, and known to be so.
        events: within it.
    """

    codes: tuple[np.ndarray, ...]
    seen: np.ndarray
    empty: np.ndarray
    events: tuple[Event, ...]

    def __len__(self) -> int:
        return len(self.seen)


def stretch(film: Film, first: int, last: int, pause: int) -> Stretch:
    """The frames of a film from `first` to before `last`, with their events; for `pause` see `events.find`."""
    part = slice(first, last)
    seen = film.seen[part]
    found = tuple(events.find(seen, pause))
    empty = events.outside(len(seen), found) & film.known[part]
    return Stretch(codes=tuple(tensor[part] for tensor in film.codes), seen=seen, empty=empty, events=found)


def in_time(film: Film, pause: int, parts: Sequence[Part] = PARTS, shares: Mapping[Part, float] = SHARES) -> dict[Part, Stretch]:
    """Cut one film into its parts, one after the other.

    Args:
        film: with the codes and labels of its frames.
        pause: see `events.find`; as many frames are left out on either side of a cut, where neighbours would be in two parts.
        parts: in this order.
        shares: of each in the events; only their ratio counts.

    Returns:
        Part -> stretch. Events are given out by their shares, each part gets one before another gets two; where there are fewer
        events than parts, the last parts get none. A film without events is cut by its frames.
    """
    found = events.find(film.seen, pause)
    cuts = [0, *_cuts(found, len(film.seen), [shares[part] for part in parts]), len(film.seen)]
    made: dict[Part, Stretch] = {}
    for index, part in enumerate(parts):
        first = cuts[index] + (pause if index else 0)
        last = cuts[index + 1] - (pause if index + 1 < len(parts) else 0)
        # Around a cut between two events that are near each other there is less to leave out than wanted.
        inside = [event for event in found if cuts[index] <= event.first < cuts[index + 1]]
        first = min([first, *(event.first for event in inside)])
        last = max([last, first, *(event.last + 1 for event in inside)])
        made[part] = stretch(film, first, last, pause)
    return made


def _cuts(found: Sequence[Event], frames: int, wanted: Sequence[float]) -> list[int]:
    """Frames before which the film is cut, one fewer than parts; `wanted` are the shares of these."""
    shares = np.cumsum(wanted)[:-1] / sum(wanted)
    if not found:
        return [round(share * frames) for share in shares]
    counts = [min(len(found), max(index + 1, round(share * len(found)))) for index, share in enumerate(shares)]
    for index in reversed(range(len(counts))):
        # Later parts get one each too, as far as events go.
        counts[index] = max(min(counts[index], len(found) - (len(counts) - index)), min(index + 1, len(found)))
    return [frames if count == len(found) else (found[count - 1].last + 1 + found[count].first) // 2 for count in counts]


def check(parts: dict[Part, list[Stretch]], pause_s: float) -> None:
    """Refuse parts that nothing can be learned or told from.

    Raises:
        ExportError: a part has no event, or no empty frame.
    """
    for part, stretches in parts.items():
        count = sum(len(one.events) for one in stretches)
        blank = sum(int(one.empty.sum()) for one in stretches)
        if not count or not blank:
            total = sum(len(one.events) for several in parts.values() for one in several)
            raise ExportError(
                f"the {part} part of the film has {count} events and {blank} empty frames; it needs both. All parts have {total} "
                f"events with pauses of up to {pause_s:g} s; give more film, or whole films with --calibration and --test"
            )
