"""What went wrong lately, for the person who looks at the live page; the log has all of it."""

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass

KEPT = 30
"""A page full. What repeats is one entry with a count, so that one broken device does not push the others out."""
TEXT_MAX = 240
DEVICE_MAX = 64


@dataclass(slots=True, kw_only=True)
class Incident:
    """Something that went wrong, once or many times with the same device."""

    kind: str
    """From the code, as `stream refused`."""
    device_id: str
    message: str
    """Of the last time."""
    count: int
    at_s: float
    """Of the last time, in seconds since 1970."""


class Incidents:
    """The latest incidents; only the event loop touches it.

    Args:
        clock: seconds since 1970.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._kept: OrderedDict[tuple[str, str], Incident] = OrderedDict()

    def __iter__(self) -> Iterator[Incident]:
        """The latest one first."""
        return iter(tuple(reversed(self._kept.values())))

    def note(self, kind: str, message: str, device_id: str = "") -> None:
        """Something went wrong."""
        key = (kind, device_id[:DEVICE_MAX])
        earlier = self._kept.pop(key, None)
        count = earlier.count + 1 if earlier else 1
        self._kept[key] = Incident(kind=kind, device_id=key[1], message=message[:TEXT_MAX], count=count, at_s=self._clock())
        if len(self._kept) > KEPT:
            self._kept.popitem(last=False)
