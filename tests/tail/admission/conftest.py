"""Time that passes when a test says so."""

import heapq
from collections.abc import Callable

import pytest


class Time:
    """A clock with timers; `pass_s` lets time go by and calls what is due."""

    def __init__(self) -> None:
        self.now = 100.0
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0

    def __call__(self) -> float:
        return self.now

    def later(self, delay_s: float, call: Callable[[], None]) -> None:
        self._count += 1
        heapq.heappush(self._due, (self.now + delay_s, self._count, call))

    def pass_s(self, seconds: float) -> None:
        until = self.now + seconds
        while self._due and self._due[0][0] <= until:
            self.now, _, call = heapq.heappop(self._due)
            call()
        self.now = until


@pytest.fixture(scope="session")
def new_time() -> type[Time]:
    """Makes a clock with timers."""
    return Time


@pytest.fixture
def time(new_time: type[Time]) -> Time:
    """A clock with timers."""
    return new_time()
