"""Caches of several sequences side by side in one buffer, so that neighbours can go through a network as one batch.

A buffer is float32[slot, head, position, width] for the keys of a layer and one more for its values. The network reads and writes
it where it lies; nothing is copied from one step to the next. Memory that no sequence has reached yet is not touched, and a
system that gives pages on first use holds none for it.
"""

import threading
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyValueShape:
    """Of one layer, for each of its keys and values."""

    heads: int
    width: int


def position_bytes(shapes: Sequence[KeyValueShape]) -> int:
    """What one position of a sequence takes in all layers."""
    return sum(2 * shape.heads * shape.width for shape in shapes) * np.float32().nbytes


@dataclass(slots=True, eq=False)
class Lease:
    """Who holds it has the slot; a move gives it another one."""

    slot: int


class SlotBuffers:
    """A number of slots of one length. Taking and giving back are safe from any thread.

    Args:
        shapes: of the layers in order.
        slots: sequences that find room.
        positions: of each sequence.
    """

    def __init__(self, shapes: Sequence[KeyValueShape], *, slots: int, positions: int) -> None:
        self.positions = positions
        self._arrays = [
            np.zeros((slots, shape.heads, positions, shape.width), np.float32) for shape in shapes for _ in ("key", "value")
        ]
        self._holders: list[Lease | None] = [None] * slots
        self._lock = threading.Lock()
        self.slot_bytes = sum(array.nbytes for array in self._arrays) // slots
        """What one sequence takes at its longest."""

    def take(self) -> Lease | None:
        """The first free slot, or None where all are taken."""
        with self._lock:
            for slot, holder in enumerate(self._holders):
                if holder is None:
                    lease = self._holders[slot] = Lease(slot)
                    return lease
        return None

    def give_back(self, lease: Lease) -> None:
        """Free a slot; giving it back twice does nothing."""
        with self._lock:
            if self._holders[lease.slot] is lease:
                self._holders[lease.slot] = None

    def stretch(self, first: int, last: int) -> list[np.ndarray]:
        """Keys and values of the layers in turn, of the slots `first` to `last` (not included): views, contiguous."""
        return [array[first:last] for array in self._arrays]

    def copy(self, to: Lease, other: "SlotBuffers", lease: Lease, length: int) -> None:
        """Copy the first `length` positions of a sequence from other buffers of the same layers."""
        for array, source in zip(self._arrays, other._arrays, strict=True):
            array[to.slot, :, :length] = source[lease.slot, :, :length]

    def draw_together(self, lengths: dict[Lease, int]) -> None:
        """Move sequences so that they lie side by side, where free slots allow it.

        Args:
            lengths: positions that each holds. Nobody may use them meanwhile; sequences that are not named stay where they are.
        """
        with self._lock:
            first = self._cheapest_window(lengths)
            if first is None:
                return
            window = range(first, first + len(lengths))
            holes = [slot for slot in window if self._holders[slot] is None]
            for lease in [lease for lease in lengths if lease.slot not in window]:
                self._move(lease, holes.pop(), lengths[lease])

    def _cheapest_window(self, leases: Collection[Lease]) -> int | None:
        """Where the fewest have to move, or None where others are always in between."""
        count, best = len(leases), None
        fewest = count + 1
        for first in range(len(self._holders) - count + 1):
            inside = self._holders[first : first + count]
            moves = sum(holder is None for holder in inside)
            if moves < fewest and all(holder is None or holder in leases for holder in inside):
                best, fewest = first, moves
        return best

    def _move(self, lease: Lease, slot: int, length: int) -> None:
        for array in self._arrays:
            array[slot, :, :length] = array[lease.slot, :, :length]
        self._holders[lease.slot], self._holders[slot] = None, lease
        lease.slot = slot


def spans(leases: Sequence[Lease]) -> list[tuple[int, int]]:
    """Runs of neighbours, as (first, behind the last) indices into `leases`, which are sorted by slot."""
    starts = [index for index, lease in enumerate(leases) if not index or lease.slot != leases[index - 1].slot + 1]
    return list(zip(starts, [*starts[1:], len(leases)], strict=True))
