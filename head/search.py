"""The search for a server that takes the stream.

Whoever cannot be reached is asked for a TCP connection every few hundred milliseconds while frames wait, and ever less often
while none do. Whoever is there and refuses (no room, no way in) is asked after growing, jittered pauses, and not before the time
it named. Whoever takes connections and says nothing comes last for a while.
"""

import os
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import structlog

from isthmus.errors import AccessError, ConfigError, IsthmusError, Overloaded, TailUnavailable, Unreachable
from isthmus.head import probe
from isthmus.head.addresses import Names
from isthmus.head.hearing import Patience
from isthmus.head.retry import retry_delays
from isthmus.head.stream import Stream

log = structlog.get_logger()

AVOIDED_S = 60.0
"""So long a server that says nothing comes after the others."""
_PROXIES = ("grpc_proxy", "https_proxy", "http_proxy")
"""Variables by which gRPC reaches servers that a plain connection may not reach."""

Attempt = Callable[[str, Callable[[], bool]], Stream]
"""Opens a stream at an address, unless it is given up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkSettings:
    """How the link behaves."""

    connect_timeout_s: float = 5.0
    """To open a stream: several round trips of a slow radio, and short enough to try the next address."""
    probe_s: float = 0.15
    """While frames wait, a server that is out of reach is asked for a connection so often, give or take a quarter."""
    wanted_s: float = 5.0
    """So long after a frame the link is wanted."""
    quick_retry_s: float = 5.0
    """So long a link that nobody wants is tried every 0.1 to 0.5 s, and so is a server that refuses: most breaks are short."""
    retry_max_s: float = 30.0
    """Longest pause between those attempts; jittered, so that a fleet does not come back all at once."""
    patience: Patience = field(default_factory=Patience)
    """How long silence is borne."""


class Search:
    """Looks for a server until one takes the stream.

    Args:
        addresses: `host:port`, the best one first.
        settings: time-outs and pauses.
        attempt: opens a stream.

    Attributes:
        last_error: what the last attempt met.
    """

    def __init__(self, addresses: Sequence[str], settings: LinkSettings, attempt: Attempt) -> None:
        self.last_error: IsthmusError | None = None
        self._addresses = addresses
        self._settings = settings
        self._attempt = attempt
        self._names = Names()
        self._wanted_at = time.monotonic()
        self._avoided_until: dict[str, float] = {}
        self._not_before: dict[str, float] = {}
        self._delays: dict[str, Iterator[float]] = {}
        self._locked_out: dict[str, IsthmusError] = {}

    def want(self) -> None:
        """A frame waits for the link."""
        self._wanted_at = time.monotonic()

    def avoid(self, address: str) -> None:
        """Let an address come after the others for a while."""
        self._avoided_until[address] = time.monotonic() + AVOIDED_S

    def run(
        self, given_up: Callable[[], bool], *, was_let_in: bool, is_closing: Callable[[], bool] = lambda: False
    ) -> Stream | None:
        """Search.

        Args:
            given_up: asked all the time; true ends the search, but no attempt that has begun: the server may have taken it
                by then, and have ended the stream before it.
            is_closing: asked all the time; true ends an attempt too.
            was_let_in: whether a server took a stream before: then one may do so again, when a certificate or a token has been
                renewed.

        Returns:
            An open stream, None if the search was given up.

        Raises:
            AccessError: TLS or the token opens no door at any of the addresses.
            IsthmusError: what no retry can mend: another bundle, another protocol.
        """
        pace = Pace(self._settings, self._is_wanted)
        while not given_up():
            for address in self._reached(pace, given_up):
                if given_up() or is_closing():
                    return None
                if (stream := self._try(address, is_closing)) is not None:
                    return stream
            if len(self._locked_out) == len(self._addresses) and not was_let_in:
                raise next(iter(self._locked_out.values()))
        return None

    def _is_wanted(self) -> bool:
        return time.monotonic() - self._wanted_at < self._settings.wanted_s

    def _reached(self, pace: "Pace", given_up: Callable[[], bool]) -> list[str]:
        """Wait for addresses at which somebody listens and who may be asked again."""
        now = time.monotonic()
        ready = [address for address in self._addresses if self._not_before.get(address, now) <= now]
        ready.sort(key=lambda address: self._avoided_until.get(address, now) > now)
        others_at = min((at for at in self._not_before.values() if at > now), default=float("inf"))
        if not ready:
            time.sleep(min(probe.LOOK_S, others_at - now))
            return []
        if any(os.environ.get(name) for name in _PROXIES):
            return ready
        return probe.reachable(ready, self._names, pace=pace, given_up=lambda: given_up() or time.monotonic() >= others_at)

    def _try(self, address: str, given_up: Callable[[], bool]) -> Stream | None:
        began_at = time.monotonic()
        try:
            stream = self._attempt(address, given_up)
        except Unreachable as error:
            log.debug("no stream", address=address, reason=str(error))
            self._met(address, error, random.uniform(0.5, 1.0) * self._settings.probe_s)
            if time.monotonic() - began_at > 0.9 * self._settings.connect_timeout_s:
                self.avoid(address)
        except TailUnavailable as error:
            log.debug("no stream", address=address, reason=str(error))
            asked_s = error.retry_after_ms / 1000 if isinstance(error, Overloaded) else 0.0
            self._met(address, error, max(asked_s, self._polite_s(address)))
        except (AccessError, ConfigError) as error:
            log.warning("no way in", address=address, reason=str(error))
            self._met(address, error, self._polite_s(address))
            self._locked_out[address] = error
        else:
            self._not_before.clear()
            self._delays.clear()
            return stream
        return None

    def _met(self, address: str, error: IsthmusError, pause_s: float) -> None:
        self.last_error = error
        self._locked_out.pop(address, None)
        self._not_before[address] = time.monotonic() + pause_s

    def _polite_s(self, address: str) -> float:
        settings = self._settings
        if address not in self._delays:
            self._delays[address] = retry_delays(quick_s=settings.quick_retry_s, longest_s=settings.retry_max_s)
        return next(self._delays[address])


class Pace:
    """How long after one attempt to connect the next one begins; drawn anew for each."""

    def __init__(self, settings: LinkSettings, is_wanted: Callable[[], bool]) -> None:
        self._settings = settings
        self._is_wanted = is_wanted
        self._quick_s = self._slow_s = 0.0
        self._delays = self._new_delays()

    def draw(self) -> None:
        """An attempt begins."""
        if self._is_wanted():
            self._delays = self._new_delays()
        self._quick_s = self._settings.probe_s * random.uniform(0.75, 1.25)
        self._slow_s = next(self._delays)

    @property
    def pause_s(self) -> float:
        """As things are now."""
        return self._quick_s if self._is_wanted() else self._slow_s

    def _new_delays(self) -> Iterator[float]:
        return retry_delays(quick_s=self._settings.quick_retry_s, longest_s=self._settings.retry_max_s)
