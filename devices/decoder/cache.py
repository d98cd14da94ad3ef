"""What a network keeps of one sequence: keys and values of the positions that went through it."""

import weakref
from abc import ABC, abstractmethod
from typing import Self

import numpy as np

from isthmus.devices.decoder.slots import Lease, SlotBuffers
from isthmus.errors import LocalProtocolError


class Cache(ABC):
    """Of one sequence in one network. Whoever runs with it has it alone meanwhile.

    Args:
        positions: how many it can hold.
        size_bytes: what it may grow to in memory.
    """

    def __init__(self, *, positions: int, size_bytes: int) -> None:
        self.positions = positions
        self.size_bytes = size_bytes
        self.length = 0
        """Positions that it holds."""

    @property
    @abstractmethod
    def is_open(self) -> bool:
        """False after `close`."""

    def truncate(self, pos: int) -> None:
        """Forget the positions from `pos` on; what is held of them is written over by the next call.

        Raises:
            LocalProtocolError: it does not hold so many.
        """
        if not 0 <= pos <= self.length:
            raise LocalProtocolError(f"a cache of {self.length} positions cannot go on from position {pos}")
        self.length = pos

    def check_room(self, pos: int, rows: int) -> None:
        """See that it can be truncated to `pos` and take `rows` more.

        Raises:
            LocalProtocolError: it is closed, does not hold so many, or has no room.
        """
        if not self.is_open:
            raise LocalProtocolError("a cache was used after it was closed")
        if not 0 <= pos <= self.length:
            raise LocalProtocolError(f"a cache of {self.length} positions cannot go on from position {pos}")
        if pos + rows > self.positions:
            raise LocalProtocolError(f"{rows} rows from position {pos} on do not fit into a cache of {self.positions} positions")

    def take_over(self, other: Self) -> None:
        """Go on where another cache of the same network is, and close that one.

        Raises:
            LocalProtocolError: it holds more than finds room here.
        """
        self.check_room(0, other.length)
        self._copy(other)
        self.length = other.length
        other.close()

    @abstractmethod
    def close(self) -> None:
        """Give its memory to the next sequence."""

    @abstractmethod
    def _copy(self, other: Self) -> None: ...


class SlotCache(Cache):
    """In a slot of buffers that the network reads and writes where they lie.

    Args:
        buffers: where it lies.
        lease: its slot there, given back with `close` or when nobody has the cache any more.
    """

    def __init__(self, buffers: SlotBuffers, lease: Lease) -> None:
        super().__init__(positions=buffers.positions, size_bytes=buffers.slot_bytes)
        self.buffers = buffers
        self.lease = lease
        self._give_back = weakref.finalize(self, buffers.give_back, lease)

    @property
    def is_open(self) -> bool:
        """False after `close`."""
        return self._give_back.alive

    def close(self) -> None:
        """Give the slot to the next sequence."""
        self._give_back()

    def _copy(self, other: Self) -> None:
        self.buffers.copy(self.lease, other.buffers, other.lease, other.length)


class GrownCache(Cache):
    """Arrays that the network makes anew, a little longer, with every call.

    Args:
        positions: how many it may hold.
        size_bytes: what it may grow to in memory.
    """

    def __init__(self, *, positions: int, size_bytes: int) -> None:
        super().__init__(positions=positions, size_bytes=size_bytes)
        self._is_open = True
        self._arrays: list[np.ndarray] = []

    @property
    def is_open(self) -> bool:
        """False after `close`."""
        return self._is_open

    def held(self, pos: int) -> list[np.ndarray]:
        """Keys and values of the layers in turn, of the positions before `pos`: contiguous; empty before the first call."""
        return [np.ascontiguousarray(array[:, :, :pos]) for array in self._arrays]

    def hold(self, arrays: list[np.ndarray]) -> None:
        """Keep what the network gave, float32[1, head, position, width] each, from now on."""
        self._arrays = arrays
        self.length = arrays[0].shape[2]

    def close(self) -> None:
        """Let the arrays go."""
        self._arrays, self._is_open = [], False

    def _copy(self, other: Self) -> None:
        self._arrays = other._arrays
