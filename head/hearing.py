"""Whether the far end of a stream lives, judged by how long nothing was heard while something was waited for.

Time comes in. What is heard is any message of the stream, and the echo of a small question that is asked on the same connection
when it has been quiet for a while: a server that computes for long still answers that at once.

A stream that has been silent for too long is in doubt until an echo comes back. Other messages do not clear it: when a link is
back, the server's TCP may repeat old answers at once, and what the device has sent still hangs in its own TCP for seconds.
"""

import threading
from collections import deque
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long silence is borne."""

    echo_s: float = 0.5
    """After so long without a sound an echo is asked for, and again after as long."""
    silent_s: float = 1.5
    """Silence beyond this is suspicious. TCP repeats a lost packet after 0.2, 0.6 and 1.4 s, so that at 5% loss one message of
    some 100,000 is silent for longer."""
    round_trips: float = 4.0
    """At least so many of the connection's own round trips."""
    slowest_byte_s: float = 1 / 8000
    """Bytes under way may take as long as at 64 kbit/s, and an echo waits behind them."""
    answer_s: float = 15.0
    """A server that echoes and answers none of the captures for so long is of no use either."""


USUAL = Patience()
ECHOES = 8
"""The quickest of so many tells the round trip: one that was under way while the link was gone is no measure."""


class Hearing:
    """Listens to one stream; safe to use from any thread."""

    def __init__(self, patience: Patience, now: float) -> None:
        self._patience = patience
        self._lock = threading.Lock()
        self._heard_at = now
        self._echo_at = now
        self._round_trips_s: deque[float] = deque(maxlen=ECHOES)
        self._in_doubt = False
        self._under_way: dict[int, tuple[float, int]] = {}

    def sent(self, sequence: int, size_bytes: int, now: float) -> None:
        """A capture left, and something is to be heard of it."""
        with self._lock:
            if not self._under_way and not self._in_doubt:
                self._heard_at = self._echo_at = now
            self._under_way[sequence] = now, size_bytes

    def heard(self, now: float) -> None:
        """Something came."""
        with self._lock:
            self._listen(now)
            if not self._in_doubt:
                self._heard_at = now

    def answered(self, sequence: int, now: float) -> None:
        """A capture was answered."""
        self.heard(now)
        with self._lock:
            self._under_way.pop(sequence, None)

    def echoed(self, round_trip_s: float, now: float) -> None:
        """An echo came back."""
        with self._lock:
            self._round_trips_s.append(round_trip_s)
            self._heard_at = now
            self._in_doubt = False

    def wants_echo(self, now: float) -> bool:
        """Whether to ask for an echo now; that it is asked for is taken for granted."""
        with self._lock:
            is_awaited = self._under_way or self._in_doubt
            if not is_awaited or now - max(self._heard_at, self._echo_at) < self._patience.echo_s:
                return False
            self._echo_at = now
            return True

    def silent_s(self, now: float) -> float:
        """How long nothing was heard, if the stream is in doubt; else 0."""
        with self._lock:
            self._listen(now)
            return now - self._heard_at if self._in_doubt else 0.0

    def unanswered_s(self, now: float) -> float:
        """How long the oldest capture waits, if that is too long; else 0."""
        with self._lock:
            waited_s = now - min((sent_at for sent_at, _ in self._under_way.values()), default=now)
            return waited_s if waited_s > self._patience.answer_s + self._transfer_s() else 0.0

    def _listen(self, now: float) -> None:
        """Begin to doubt when it has been quiet for too long."""
        if self._under_way and now - self._heard_at > self._borne_s():
            self._in_doubt = True

    def _borne_s(self) -> float:
        round_trip_s = min(self._round_trips_s, default=0.0)
        return max(self._patience.silent_s, self._patience.round_trips * round_trip_s) + self._transfer_s()

    def _transfer_s(self) -> float:
        return self._patience.slowest_byte_s * sum(size for _, size in self._under_way.values())
