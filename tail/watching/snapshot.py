"""What the live page shows, as one JSON object: `/status.json`."""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from typing import Any

from isthmus import __version__
from isthmus.devices.memory import resident_bytes
from isthmus.tail.served import AnyServed
from isthmus.tail.watching.figures import StreamFigures
from isthmus.tail.watching.history import PERCENTILES, STEP_S, History
from isthmus.tail.watching.incidents import DEVICE_MAX
from isthmus.tail.watching.language import Conversing
from isthmus.tail.watching.metrics import Metrics

STREAMS_SHOWN = 200
"""Of the newest streams; a page of thousands helps nobody."""


class Snapshot:
    """Puts together what the page shows.

    Args:
        served: gives what is served.
        metrics: the server's figures, and what went wrong lately.
        history: its last two minutes.
        sessions: gives the number of sessions.
        state: what the server does.
        grpc_port: gives the port for devices.
        clock: seconds, monotonic, as the streams use it.
    """

    def __init__(
        self,
        *,
        served: Callable[[], Iterable[AnyServed]],
        metrics: Metrics,
        history: History,
        sessions: Callable[[], int],
        state: Callable[[], str],
        grpc_port: Callable[[], int],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._served = served
        self._metrics = metrics
        self._history = history
        self._sessions = sessions
        self._state = state
        self._grpc_port = grpc_port
        self._clock = clock
        self._started_s = clock()

    def take(self) -> dict[str, Any]:
        """The state of now; every value is of JSON."""
        now = self._clock()
        streams = sorted(self._streams(), key=lambda stream: stream.number, reverse=True)
        return {
            "state": self._state(),
            "version": __version__,
            "uptime_s": round(now - self._started_s, 1),
            "at_s": round(time.time(), 3),
            "grpc_port": self._grpc_port(),
            "resident_bytes": resident_bytes(),
            "sessions": self._sessions(),
            "bundles": [self._bundle(served) for served in self._served()],
            "streams_open": len(streams),
            "streams": [self._stream(stream, now) for stream in streams[:STREAMS_SHOWN]],
            "history": {"step_s": STEP_S, **_rounded(self._history.rates()), **self._history.levels()},
            "latency_ms": self._latency(),
            "incidents": [asdict(incident) for incident in self._metrics.incidents],
        }

    def _streams(self) -> Iterator[StreamFigures]:
        for figures in self._metrics.bundles:
            yield from figures.streams

    def _bundle(self, served: AnyServed) -> dict[str, Any]:
        if isinstance(served, Conversing):
            streams, (answered, failed), requests = served.figures.open, served.figures.answers, 0
        else:
            figures = self._metrics.of(served)
            streams, answered, failed = len(figures.streams), figures.answered, figures.failed
            requests = sum(figures.requests.values())
        return {
            "name": served.name,
            "version": served.version,
            "digest": served.bundle.digest[:12],
            "provider": served.provider,
            "kind": served.task,
            "instances": served.instances,
            "queued": served.queued,
            "streams": streams,
            "answered": answered,
            "failed": failed,
            "requests": requests,
        }

    def _stream(self, stream: StreamFigures, now: float) -> dict[str, Any]:
        return {
            "number": stream.number,
            "device": stream.device_id[:DEVICE_MAX],
            "session": stream.session,
            "resumed": stream.resumed,
            "bundle": f"{stream.bundle.name} {stream.bundle.version}",
            "open_s": round(now - stream.opened_at, 1),
            "captures": stream.captures,
            "in_flight": stream.captures - stream.answers,
        }

    def _latency(self) -> dict[str, dict[str, float | None]]:
        names = [f"p{percent}" for percent in PERCENTILES]
        return {
            stage: {name: None if value is None else round(value * 1000, 3) for name, value in zip(names, values, strict=True)}
            for stage, values in self._history.percentiles_s().items()
        }


def _rounded(rates: dict[str, list[float]]) -> dict[str, list[float]]:
    return {name: [round(rate, 1) for rate in values] for name, values in rates.items()}
