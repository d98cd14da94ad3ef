"""The house that streams are guests of."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from isthmus.contract.limits import Limits
from isthmus.devices.tracing import Tracing
from isthmus.tail.catalog import Catalog
from isthmus.tail.streams.sessions import Sessions
from isthmus.tail.watching.metrics import Metrics


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """What all streams of a server share. `clock` is in seconds, monotonic."""

    catalog: Catalog
    sessions: Sessions
    metrics: Metrics
    limits: Limits
    tracing: Tracing | None = None
    clock: Callable[[], float] = time.monotonic
