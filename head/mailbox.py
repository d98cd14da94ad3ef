"""The bounded hand-over between the thread that captures and the thread that processes.

Old pictures are worth less than new ones, so a full mailbox does not have to make the camera wait:

- `drop-oldest`: the item that waited longest gives way (live cameras; with capacity 1 the newest frame wins);
- `drop-latest`: the new item is refused (what was accepted is processed);
- `wait`: `put` blocks until there is room (files, where every picture counts).

At every moment `offered == taken + dropped + len(mailbox)`.
"""

import threading
from collections import deque
from collections.abc import Iterator
from typing import Generic, Literal, TypeVar, get_args

from isthmus.errors import ConfigError

Item = TypeVar("Item")
DropPolicy = Literal["drop-oldest", "drop-latest", "wait"]


class Mailbox(Generic[Item]):
    """A first-in, first-out queue of bounded length that counts what it drops; safe for any number of threads.

    Args:
        capacity: items held at most.
        policy: what happens to an item that finds the mailbox full.

    Raises:
        ConfigError: `capacity` is below 1 or `policy` is unknown.
    """

    def __init__(self, capacity: int = 1, policy: DropPolicy = "drop-oldest") -> None:
        if capacity < 1:
            raise ConfigError(f"the mailbox capacity is {capacity}; it has to be 1 or more")
        if policy not in get_args(DropPolicy):
            raise ConfigError(f"the drop policy is {policy!r}; choose one of {', '.join(get_args(DropPolicy))}")
        self.capacity = capacity
        self.policy = policy
        self._items: deque[Item] = deque()
        self._closed = False
        self._offered = 0
        self._taken = 0
        self._dropped = 0
        lock = threading.Lock()
        self._arrived = threading.Condition(lock)
        self._room = threading.Condition(lock)

    def put(self, item: Item, *, timeout_s: float | None = None) -> Item | None:
        """Hand an item over.

        Args:
            item: what to hand over; not None.
            timeout_s: policy `wait` only: how long to wait for room; None waits until there is some.

        Returns:
            The item that was dropped for it: None, or the oldest one, or `item` itself when it was refused
            (`drop-latest` and full, `wait` and out of time, or the mailbox is closed).
        """
        with self._room:
            self._offered += 1
            if self.policy == "wait":
                self._room.wait_for(lambda: self._closed or len(self._items) < self.capacity, timeout_s)
            full = len(self._items) >= self.capacity
            if self._closed or (full and self.policy != "drop-oldest"):
                self._dropped += 1
                return item
            oldest = self._items.popleft() if full else None
            self._dropped += full
            self._items.append(item)
            self._arrived.notify()
            return oldest

    def get(self, *, timeout_s: float | None = None) -> Item | None:
        """Take the item that waited longest, and wait for one if there is none.

        Returns:
            The item, or None when the mailbox is closed and empty.

        Raises:
            TimeoutError: nothing came within `timeout_s`.
        """
        with self._arrived:
            if not self._arrived.wait_for(lambda: self._closed or self._items, timeout_s):
                raise TimeoutError(f"nothing arrived within {timeout_s} s")
            if not self._items:
                return None
            item = self._items.popleft()
            self._taken += 1
            self._room.notify()
            return item

    def close(self) -> None:
        """Refuse further items and wake everyone; what waits inside can still be taken."""
        with self._arrived:
            self._closed = True
            self._arrived.notify_all()
            self._room.notify_all()

    def __iter__(self) -> Iterator[Item]:
        """Take items until the mailbox is closed and empty."""
        while (item := self.get()) is not None:
            yield item

    def __len__(self) -> int:
        return len(self._items)

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    @property
    def offered(self) -> int:
        """Items given to `put` so far."""
        return self._offered

    @property
    def taken(self) -> int:
        """Items returned by `get` so far."""
        return self._taken

    @property
    def dropped(self) -> int:
        """Items that were offered and will never be taken."""
        return self._dropped
