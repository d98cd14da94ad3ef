"""The codec of hidden states: payloads as everywhere (mode | body | CRC-32), the mode chosen anew for every one of them.

So a device changes from int8 to int4 in mid-session as the link changes; what it may choose from was agreed on at the opening.
"""

from collections.abc import Iterable

import numpy as np

from isthmus.codec import payload
from isthmus.codec.codec import names
from isthmus.codec.hidden import rows as written
from isthmus.codec.hidden.calibration import Calibration
from isthmus.codec.payload import OVERHEAD_BYTES, Mode
from isthmus.errors import DeviceError, LocalProtocolError, MalformedPayload

MODES = (Mode.HIDDEN_INT4, Mode.HIDDEN_INT8, Mode.HIDDEN_FP16)
"""All there are, smallest first."""


class HiddenCodec:
    """Rows of one width to payloads and back; keeps nothing between payloads.

    Args:
        calibration: the bundle's; it has the width.
        modes: agreed on, best first.

    Raises:
        LocalProtocolError: there is no mode, or one that is not of hidden states.
    """

    def __init__(self, calibration: Calibration, modes: Iterable[Mode] = MODES) -> None:
        self._calibration = calibration
        self.modes = tuple(modes)
        """Modes that may cross, best first."""
        if not self.modes or not set(self.modes) <= set(MODES):
            raise LocalProtocolError(f"hidden states cross as {names(MODES)}, not as {names(self.modes) or 'nothing'}")

    @property
    def width(self) -> int:
        """Channels of a row."""
        return self._calibration.width

    def payload_bytes(self, count: int, mode: Mode) -> int:
        """Size of the payload of `count` rows."""
        return OVERHEAD_BYTES + count * written.row_bytes(mode, self.width)

    def encode(self, rows: np.ndarray, mode: Mode | None = None) -> bytes:
        """Pack rows.

        Args:
            rows: float32[row, channel].
            mode: one that was agreed on; None is the best of them.

        Raises:
            LocalProtocolError: the mode was not agreed on, or the rows are of another width.
            DeviceError: a value is NaN or infinite.
        """
        chosen = self.modes[0] if mode is None else mode
        if chosen not in self.modes:
            raise LocalProtocolError(f"mode {chosen.name.lower()} was not agreed on; agreed: {names(self.modes)}")
        if rows.ndim != 2 or rows.shape[1] != self.width:
            raise LocalProtocolError(f"hidden states are of shape [rows, {self.width}], got {list(rows.shape)}")
        if not np.isfinite(rows).all():
            raise DeviceError("the head gave NaN or infinity for these tokens")
        return payload.pack(chosen, written.write(rows.astype(np.float32, copy=False), chosen, self._calibration))

    def decode(self, data: bytes, count: int) -> np.ndarray:
        """Unpack `count` rows.

        Returns:
            float32[row, channel], finite.

        Raises:
            MalformedPayload: damaged, of a mode that was not agreed on, not of that many rows, or with NaN or infinity in it.
        """
        number = payload.mode_of(data)
        if number not in self.modes:
            raise MalformedPayload(f"hidden states came in mode {number}, agreed: {names(self.modes)}")
        mode = Mode(number)
        expected = self.payload_bytes(count, mode)
        if count < 1 or len(data) != expected:
            raise MalformedPayload(
                f"{count} rows of {self.width} channels are {expected} bytes in mode {mode.name.lower()}, got {len(data)}"
            )
        _, body = payload.unpack(data)
        with np.errstate(over="ignore", invalid="ignore"):
            rows = written.read(body, mode, self._calibration)
        if not np.isfinite(rows).all():
            raise MalformedPayload(f"hidden states in mode {mode.name.lower()} hold NaN or infinity")
        return rows


def agree(offer: Iterable[int], known: Iterable[Mode] = MODES) -> tuple[Mode, ...]:
    """Modes that both ends have, in the order of the offer; fp16 is always among them.

    >>> [mode.name for mode in agree([18, 4, 16, 99])]
    ['HIDDEN_INT4', 'HIDDEN_FP16']
    """
    understood = set(known)
    agreed = [Mode(mode) for mode in dict.fromkeys(offer) if mode in understood]
    return tuple(agreed if Mode.HIDDEN_FP16 in agreed else [*agreed, Mode.HIDDEN_FP16])
