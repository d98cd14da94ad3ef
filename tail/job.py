"""A piece of work for the workers, and what became of it."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

Work = TypeVar("Work")
Result = TypeVar("Result")


@dataclass(slots=True, eq=False)
class Job(Generic[Work, Result]):
    """One piece of work on its way through the queue.

    After `on_done` was called, exactly one of these holds: `result` is set, `error` is set, or `expired` is true.
    """

    work: Work
    kind: Hashable
    expires_at: float | None
    on_done: "Callable[[Job[Work, Result]], None]"
    queued_at: float
    client: Hashable = None
    estimate_s: float = 0.0
    """What it was charged in the fair queue when it was taken."""
    queue_s: float = 0.0
    compute_s: float = 0.0
    result: Result | None = None
    error: Exception | None = None
    expired: bool = False
    cancelled: bool = False

    def cancel(self) -> None:
        """Let it not be computed if it was not begun; `on_done` will not be called."""
        self.cancelled = True

    def lapsed(self, now: float) -> bool:
        """Whether nobody waits for its result any more; `expired` tells if time was the reason."""
        self.expired = self.expired or (self.expires_at is not None and now >= self.expires_at)
        return self.expired or self.cancelled
