"""What the device has to answer by itself, and when it has to begin with each frame. Time comes in; nothing here waits.

Frames are either **wanted** now (there is no link, or no room on it) or **watched**: they are with the server, and the device
begins only when it is getting late. Backwards from the last deadline to the first, each frame has to begin early enough to be
done by its own deadline and before the next one has to begin. How long one takes is learned.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from isthmus.head.pending import Pending

WANTED_MAX = 2
"""Frames that wait to be answered now; beyond that the newest ones win."""
WATCHED_MAX = 8
"""Frames between capture and answer: one waits, one is computed, a window of captures is under way."""
REMEMBERED = 32
"""Durations from which is learned how long a frame takes."""
FREAKS = 2
"""So many of them may be longer than a frame is given: else one second without a core would have every frame begun at once."""
SLACK = 1.25
SLACK_S = 0.004
"""How much longer than usual a frame may take: another thread has the core, a sink is slow."""
_NEVER = float("inf")


@dataclass(slots=True, eq=False)
class Task:
    """One frame to answer.

    Attributes:
        pending: the frame.
        reason: why the device answers: a key of `record.DROP_REASONS`; empty where it was chosen to.
        detail: the same in words.
        wanted: now, not only when it gets late.
    """

    pending: Pending
    reason: str
    detail: str = ""
    wanted: bool = True

    @property
    def deadline_at(self) -> float:
        """Never is infinity."""
        return _NEVER if self.pending.deadline_at is None else self.pending.deadline_at


class Agenda:
    """The frames that one lane may have to answer, and its experience of how long that takes."""

    def __init__(self) -> None:
        self._tasks: list[Task] = []
        self._took_s: deque[float] = deque(maxlen=REMEMBERED)
        self._long_s = self._usual_s = 0.0

    def __len__(self) -> int:
        return len(self._tasks)

    @property
    def wanted(self) -> int:
        """Frames that are to be answered now."""
        return sum(task.wanted for task in self._tasks)

    @property
    def expected_s(self) -> float:
        """How long a frame has to be given."""
        return self._long_s * SLACK + SLACK_S

    @property
    def usual_s(self) -> float:
        """How long a frame takes as a rule."""
        return self._usual_s

    def learn(self, took_s: float) -> None:
        """One frame took so long."""
        self._took_s.append(took_s)
        order = sorted(self._took_s)
        self._usual_s = order[len(order) // 2]
        self._long_s = order[max(len(order) - 1 - FREAKS, len(order) // 2)]

    def is_possible(self, pending: Pending, now: float) -> bool:
        """Whether an answer could be there in time if the lane began now."""
        return pending.deadline_at is None or now + self._usual_s <= pending.deadline_at

    def add(self, task: Task) -> list[Task]:
        """Enter a task; returns the wanted ones that give way for it, oldest first."""
        self._tasks.append(task)
        watched = [other for other in self._tasks if not other.wanted]
        wanted = [other for other in self._tasks if other.wanted]
        given_way = wanted[: max(0, len(wanted) - WANTED_MAX)]
        for other in (*given_way, *watched[: max(0, len(watched) - WATCHED_MAX)]):
            self._tasks.remove(other)
        return given_way

    def remove(self, pending: Pending) -> None:
        """Let go of a frame, if it is here."""
        self._tasks = [task for task in self._tasks if task.pending is not pending]

    def take(self, now: float) -> Task | None:
        """The task to begin with now; None: it is too early for all of them."""
        for task, start_at in self._schedule():
            if task.wanted or start_at <= now:
                self._tasks.remove(task)
                return task
        return None

    def next_at(self) -> float:
        """When `take` will give a task, if nothing else happens."""
        return min((-_NEVER if task.wanted else start_at for task, start_at in self._schedule()), default=_NEVER)

    def forget_settled(self) -> None:
        """Let go of frames that somebody has entered."""
        self._tasks = [task for task in self._tasks if not task.pending.settled]

    def forget_hopeless(self, now: float) -> list[Task]:
        """Let go of frames that cannot be answered in time; returns the wanted ones, for which nobody else will answer."""
        hopeless = [task for task in self._tasks if not self.is_possible(task.pending, now)]
        for task in hopeless:
            self._tasks.remove(task)
        return [task for task in hopeless if task.wanted]

    def clear(self) -> list[Task]:
        """Let go of all; returns the wanted ones."""
        left, self._tasks = self._tasks, []
        return [task for task in left if task.wanted]

    def _schedule(self) -> Iterator[tuple[Task, float]]:
        """Tasks and when they have to begin at the latest, the most urgent one first."""
        order = sorted(self._tasks, key=lambda task: task.deadline_at)
        begins: list[float] = []
        next_begin = _NEVER
        for task in reversed(order):
            next_begin = min(task.deadline_at, next_begin) - self.expected_s
            begins.append(next_begin)
        return iter(list(zip(order, reversed(begins), strict=True)))
