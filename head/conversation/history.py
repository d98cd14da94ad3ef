"""All rows of a conversation as they crossed, so that another server can be given them again, to the bit.

Rows of the codec of hidden states stand back to back, so the history is a few runs of bytes, one for every change of mode.
"""

from dataclasses import dataclass, field

from isthmus.codec import payload
from isthmus.codec.hidden.rows import row_bytes
from isthmus.codec.payload import Mode


@dataclass(slots=True, eq=False)
class _Run:
    mode: Mode
    row_bytes: int
    body: bytearray = field(default_factory=bytearray)

    @property
    def rows(self) -> int:
        return len(self.body) // self.row_bytes


class History:
    """Compressed rows by position.

    Args:
        width: channels of a row.
    """

    def __init__(self, width: int) -> None:
        self._width = width
        self._runs: list[_Run] = []
        self._length = 0

    def __len__(self) -> int:
        return self._length

    @property
    def size_bytes(self) -> int:
        """Memory of the rows."""
        return sum(len(run.body) for run in self._runs)

    def append(self, data: bytes) -> None:
        """Keep the rows of a payload behind those that are there.

        Raises:
            MalformedPayload: it is none.
        """
        mode, body = payload.unpack(data)
        if not self._runs or self._runs[-1].mode is not mode:
            self._runs.append(_Run(mode, row_bytes(mode, self._width)))
        run = self._runs[-1]
        run.body += body
        self._length += len(body) // run.row_bytes

    def truncate(self, length: int) -> None:
        """Forget rows from a position on."""
        while self._runs and self._length > length:
            run = self._runs[-1]
            gone = min(run.rows, self._length - length)
            del run.body[(run.rows - gone) * run.row_bytes :]
            self._length -= gone
            if not run.rows:
                self._runs.pop()

    def stretch(self, pos: int, most: int) -> tuple[bytes, int]:
        """Rows from a position on as one payload, and how many there are: up to `most`, of one mode."""
        for run in self._runs:
            if pos < run.rows:
                count = min(most, run.rows - pos)
                return payload.pack(run.mode, bytes(run.body[pos * run.row_bytes : (pos + count) * run.row_bytes])), count
            pos -= run.rows
        raise IndexError(pos)
