"""Frames that a temporal payload may build on: those that the server has said it decoded.

The device keeps the codes of what it sent until the answer comes. The latest frame that was acknowledged as decoded is the
reference of the next one: the server keeps more frames than can be in flight, so it still holds that one whatever was lost in
between. When an answer says that a frame was not decoded, the reference is in doubt and the next frame is a key frame; so it is
after a reconnect to a server that no longer knows the session.
"""

import threading
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from isthmus.contract.limits import DEFAULT

Codes = tuple[np.ndarray, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reference:
    """A frame that the server holds, with its codes as the server holds them."""

    sequence: int
    codes: Codes


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Dialogue:
    """What whoever encodes must know of the conversation: the modes agreed on, and the frame to build on, if any."""

    modes: tuple[int, ...]
    reference: Reference | None = None


class References:
    """The codes in flight and the latest ones acknowledged; safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sent: dict[int, Codes] = {}
        self._latest: Reference | None = None

    @property
    def latest(self) -> Reference | None:
        """The frame to build on; None: send a key frame."""
        with self._lock:
            return self._latest

    def sent(self, sequence: int, codes: Codes) -> None:
        """A frame left; its answer will tell whether it can serve."""
        with self._lock:
            self._sent[sequence] = codes
            while len(self._sent) > DEFAULT.references_kept:
                del self._sent[next(iter(self._sent))]

    def answered(self, sequence: int, *, decoded: bool) -> None:
        """An answer came for a frame; one that was not sent as codes does not matter."""
        with self._lock:
            codes = self._sent.pop(sequence, None)
            if codes is None:
                return
            if not decoded:
                self._latest = None
            elif self._latest is None or sequence > self._latest.sequence:
                self._latest = Reference(sequence=sequence, codes=codes)

    def resumed(self, held: Iterable[int]) -> None:
        """A new stream is open, and its server holds the frames `held` of this session: the latest that is known here serves."""
        with self._lock:
            known = dict(self._sent)
            if self._latest is not None:
                known[self._latest.sequence] = self._latest.codes
            common = known.keys() & set(held)
            self._latest = Reference(sequence=max(common), codes=known[max(common)]) if common else None
            self._sent.clear()
