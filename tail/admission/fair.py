"""Whose turn it is: a bounded queue in which clients share the workers' time, whoever sends most.

Start-time fair queuing (Goyal, Vin and Cheng 1996, "Start-time Fair Queuing: a Scheduling Algorithm for Integrated Services
Packet Switching Networks", section 2): each client has a start tag, the client with the least tag is served and its tag grows by
what the service cost. A client that comes back starts at the tag of the service in progress, so it saves nothing up while away
and is served next to the others at once. What a service costs is known only afterwards: an estimate is charged when it begins,
the difference when it is over. Within a client its streams take turns.

When the queue is full, room is made where most is held (McKenney 1990, "Stochastic Fairness Queueing", section 3): the client
with the largest share loses its newest item, and a newcomer that would itself have the largest share is refused. So a flood
only pushes out its own.

Nothing here locks or knows time. Cost of a put and a take together: 2 to 3 microseconds.
"""

import heapq
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Item = TypeVar("Item")


@dataclass(slots=True, eq=False)
class _Lane(Generic[Item]):
    """What one client has waiting, by stream, and its place in the order."""

    start: float
    debt: float = 0.0
    """Charged and not yet in `start`, by which the heap is ordered."""
    in_heap: bool = False
    count: int = 0
    size_bytes: int = 0
    streams: OrderedDict[Hashable, deque[tuple[Item, int]]] = field(default_factory=OrderedDict)

    def put(self, stream: Hashable, item: Item, size_bytes: int) -> None:
        waiting = self.streams.get(stream)
        if waiting is None:
            waiting = self.streams[stream] = deque()
        waiting.append((item, size_bytes))
        self.count += 1
        self.size_bytes += size_bytes

    def first(self) -> Item:
        return next(iter(self.streams.values()))[0][0]

    def take(self) -> tuple[Item, int]:
        """The oldest item of the stream whose turn it is."""
        stream, waiting = next(iter(self.streams.items()))
        taken = waiting.popleft()
        if waiting:
            self.streams.move_to_end(stream)
        else:
            del self.streams[stream]
        return self._less(taken)

    def take_newest(self, stream: Hashable) -> tuple[Item, int]:
        waiting = self.streams[stream]
        taken = waiting.pop()
        if not waiting:
            del self.streams[stream]
        return self._less(taken)

    def longest_stream(self) -> Hashable:
        return max(self.streams, key=lambda stream: len(self.streams[stream]))

    def purge(self, unwanted: Callable[[Item], bool]) -> Iterator[tuple[Item, int]]:
        for stream, waiting in list(self.streams.items()):
            kept: deque[tuple[Item, int]] = deque()
            for entry in waiting:
                if unwanted(entry[0]):
                    yield self._less(entry)
                else:
                    kept.append(entry)
            if kept:
                self.streams[stream] = kept
            else:
                del self.streams[stream]

    def _less(self, entry: tuple[Item, int]) -> tuple[Item, int]:
        self.count -= 1
        self.size_bytes -= entry[1]
        return entry


class FairQueue(Generic[Item]):
    """Items of many clients.

    Args:
        count_max: items that may wait.
        bytes_max: bytes that may wait; one item of more is taken when nothing else waits.
    """

    def __init__(self, *, count_max: int, bytes_max: int) -> None:
        self._count_max = count_max
        self._bytes_max = bytes_max
        self._lanes: dict[Hashable, _Lane[Item]] = {}
        self._heap: list[tuple[float, int, _Lane[Item]]] = []
        """Lanes with items, and what `push_out` emptied since the last purge."""
        self._tie = 0
        self._served_at = 0.0
        """Start tag of the service in progress: virtual time."""
        self._latest = 0.0
        """Largest tag given: where virtual time goes on when nothing waits."""
        self._count = 0
        self._bytes = 0

    def __len__(self) -> int:
        return self._count

    @property
    def size_bytes(self) -> int:
        """Bytes that wait."""
        return self._bytes

    def has_room(self, size_bytes: int) -> bool:
        """Whether an item of that size may be put."""
        return self._count < self._count_max and (not self._count or self._bytes + size_bytes <= self._bytes_max)

    def put(self, item: Item, *, client: Hashable, stream: Hashable = None, size_bytes: int = 0) -> None:
        """Add an item; ask `has_room` first."""
        lane = self._lanes.get(client)
        if lane is None:
            lane = self._new_lane(client)
        lane.put(stream, item, size_bytes)
        self._count += 1
        self._bytes += size_bytes
        if not lane.in_heap:
            self._push(lane)

    def take(self, cost: float, accept: Callable[[Item], bool] | None = None) -> Item | None:
        """The item whose turn it is.

        Args:
            cost: what its service is expected to cost; `charge` tells the difference later.
            accept: asked for the item; one that is not accepted stays first, and None is returned.

        Returns:
            The item, None where nothing waits or it was not accepted.
        """
        while self._heap:
            lane = self._heap[0][2]
            if lane.count and accept is not None and not accept(lane.first()):
                return None
            heapq.heappop(self._heap)
            lane.in_heap = False
            if lane.count:
                return self._serve(lane, cost)
        return None

    def charge(self, client: Hashable, cost: float) -> None:
        """A service cost more than was expected, or less where negative."""
        lane = self._lanes.get(client)
        if lane is not None:
            lane.debt += cost

    def purge(self, unwanted: Callable[[Item], bool]) -> list[Item]:
        """Take out what nobody waits for any more, at no cost to its clients."""
        purged = [self._less(entry) for lane in self._lanes.values() if lane.count for entry in lane.purge(unwanted)]
        for _, _, lane in self._heap:
            lane.in_heap = bool(lane.count)
        self._heap = [entry for entry in self._heap if entry[2].in_heap]
        heapq.heapify(self._heap)
        return purged

    def push_out(self, *, client: Hashable, stream: Hashable = None, size_bytes: int = 0) -> Item | None:
        """Make room for an item to come, where most is held.

        Returns:
            What was taken out, or None: nobody holds more than this client and stream would.
        """
        own = self._lanes.get(client)
        fullest = max((lane for lane in self._lanes.values() if lane.count), key=self._share, default=None)
        if fullest is None:
            return None
        if fullest is own:
            longest = own.longest_stream()
            waiting = len(own.streams.get(stream, ()))
            return self._less(own.take_newest(longest)) if len(own.streams[longest]) > waiting + 1 else None
        if self._share(fullest) <= self._share(own, count=1, size_bytes=size_bytes):
            return None
        return self._less(fullest.take_newest(fullest.longest_stream()))

    def _share(self, lane: _Lane[Item] | None, *, count: int = 0, size_bytes: int = 0) -> float:
        if lane is not None:
            count += lane.count
            size_bytes += lane.size_bytes
        return max(count / self._count_max, size_bytes / self._bytes_max)

    def _serve(self, lane: _Lane[Item], cost: float) -> Item:
        self._served_at = lane.start
        item = self._less(lane.take())
        lane.start += cost
        if lane.count:
            self._push(lane)
        self._latest = max(self._latest, lane.start)
        if not self._count:
            self._served_at = self._latest
        return item

    def _push(self, lane: _Lane[Item]) -> None:
        lane.start = max(self._served_at, lane.start + lane.debt)
        lane.debt = 0.0
        lane.in_heap = True
        self._tie += 1
        heapq.heappush(self._heap, (lane.start, self._tie, lane))

    def _less(self, entry: tuple[Item, int]) -> Item:
        self._count -= 1
        self._bytes -= entry[1]
        return entry[0]

    def _new_lane(self, client: Hashable) -> _Lane[Item]:
        # Clients that are served regularly keep their lane; the others are forgotten once it tells nothing any more.
        if len(self._lanes) > 2 * self._count_max:
            self._lanes = {name: lane for name, lane in self._lanes.items() if lane.in_heap}
        # Not _Lane[Item](...): typing's wrapper costs several microseconds per call.
        lane: _Lane[Item] = _Lane(start=self._served_at)
        self._lanes[client] = lane
        return lane
