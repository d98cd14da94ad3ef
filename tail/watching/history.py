"""The last two minutes, one sample a second: rates and percentiles for the live page, there before anybody looks.

A program that scrapes keeps its own history; a person who opens the page has none. A sample is a few hundred additions.
"""

import asyncio
import itertools
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from isthmus.tail.watching.figures import STAGE_BOUNDS_S, STAGES
from isthmus.tail.watching.histogram import quantile
from isthmus.tail.watching.metrics import Metrics

STEP_S = 1.0
STEPS = 120
PERCENTILES_STEPS = 60
"""Percentiles are over the last minute: long enough to be calm, short enough to see what just changed."""
PERCENTILES = (50, 95, 99)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Counters of the whole server at one time."""

    at_s: float
    answered: int
    failed: int
    """Captures answered without outputs, and what was refused."""
    requests: int
    payload_bytes: float
    queued: int
    streams: int
    stages: tuple[tuple[int, ...], ...]
    """Counts by stage and bucket."""


class History:
    """Samples a server's figures; `run` is a task of its event loop.

    Args:
        metrics: what is sampled.
        queued: frames that wait now.
        clock: seconds, monotonic.
    """

    def __init__(self, metrics: Metrics, *, queued: Callable[[], int], clock: Callable[[], float] = time.monotonic) -> None:
        self._metrics = metrics
        self._queued = queued
        self._clock = clock
        self._samples: deque[Sample] = deque(maxlen=STEPS + 1)
        self.sample()

    async def run(self) -> None:
        """Sample once a second until cancelled."""
        while True:
            await asyncio.sleep(STEP_S)
            self.sample()

    def sample(self) -> None:
        """Remember the counters of now."""
        bundles = self._metrics.bundles
        self._samples.append(
            Sample(
                at_s=self._clock(),
                answered=sum(figures.answered for figures in bundles),
                failed=sum(figures.failed for figures in bundles) + self._metrics.refusals,
                requests=self._metrics.requests,
                payload_bytes=sum(sizes.total for figures in bundles for sizes in figures.payload.values()),
                queued=self._queued(),
                streams=sum(len(figures.streams) for figures in bundles),
                stages=tuple(
                    tuple(map(sum, zip(*(figures.stages[stage].counts for figures in bundles), strict=True)))
                    or (0,) * (len(STAGE_BOUNDS_S) + 1)
                    for stage in range(len(STAGES))
                ),
            )
        )

    def rates(self) -> dict[str, list[float]]:
        """What happened in each second, oldest first: answers, failures, requests and payload bytes a second."""
        samples = list(self._samples)
        fields = ("answered", "failed", "requests", "payload_bytes")
        return {field: [_rate(field, a, b) for a, b in itertools.pairwise(samples)] for field in fields}

    def levels(self) -> dict[str, list[int]]:
        """Frames that waited and streams that were open, oldest first."""
        samples = list(self._samples)[1:]
        return {"queued": [one.queued for one in samples], "streams": [one.streams for one in samples]}

    def percentiles_s(self) -> dict[str, list[float | None]]:
        """By stage, the `PERCENTILES` of captures answered with ok in the last minute, None where there was none."""
        latest = self._samples[-1]
        earlier = self._samples[max(0, len(self._samples) - 1 - PERCENTILES_STEPS)]
        found = {}
        for stage, now, before in zip(STAGES, latest.stages, earlier.stages, strict=True):
            # A version that was forgotten takes its counts along.
            counts = [max(0, a - b) for a, b in zip(now, before, strict=True)]
            found[stage] = [quantile(STAGE_BOUNDS_S, counts, percent / 100) for percent in PERCENTILES]
        return found


def _rate(field: str, earlier: Sample, later: Sample) -> float:
    spent_s = later.at_s - earlier.at_s
    gained: float = getattr(later, field) - getattr(earlier, field)
    return max(0.0, gained) / spent_s if spent_s > 0 else 0.0
