"""What a network keeps of one sequence: keys and values of the positions that went through it."""

import weakref

from isthmus.devices.decoder.slots import Lease, SlotBuffers
from isthmus.errors import LocalProtocolError


class Cache:
    """Of one sequence in one network. Whoever runs with it has it alone meanwhile.

    Args:
        buffers: where it lies.
        lease: its slot there, given back with `close` or when nobody has the cache any more.
    """

    def __init__(self, buffers: SlotBuffers, lease: Lease) -> None:
        self.buffers = buffers
        self.lease = lease
        self.length = 0
        """Positions that it holds."""
        self._give_back = weakref.finalize(self, buffers.give_back, lease)

    @property
    def positions(self) -> int:
        """How many it can hold."""
        return self.buffers.positions

    @property
    def size_bytes(self) -> int:
        """What it may grow to in memory."""
        return self.buffers.slot_bytes

    @property
    def is_open(self) -> bool:
        """False after `close`."""
        return self._give_back.alive

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

    def take_over(self, other: "Cache") -> None:
        """Go on where another cache of the same network is, and close that one.

        Raises:
            LocalProtocolError: it holds more than finds room here.
        """
        self.check_room(0, other.length)
        self.buffers.copy(self.lease, other.buffers, other.lease, other.length)
        self.length = other.length
        other.close()

    def close(self) -> None:
        """Give its memory to the next sequence."""
        self._give_back()
