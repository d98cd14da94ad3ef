"""Whether the kernel believes that the clock is right: TLS, signatures and records need that.

A Raspberry Pi has no clock that runs without power; until NTP has answered it lives in the past.
"""

import ctypes
import sys

_UNSYNCHRONISED = 0x40
"""STA_UNSYNC of adjtimex(2)."""
_STATUS_OFFSET = 40
"""Of `int status` in `struct timex` on 64-bit Linux, after `modes` (padded) and four longs."""
_STRUCT_BYTES = 512
"""More than `struct timex` has; the kernel fills in its part."""


def is_synchronised() -> bool | None:
    """Ask the kernel; None where it does not answer."""
    state = ctypes.create_string_buffer(_STRUCT_BYTES)
    try:
        answer = ctypes.CDLL(None, use_errno=True).adjtimex(state)
    except (AttributeError, OSError):
        return None
    if answer < 0:
        return None
    status = int.from_bytes(state.raw[_STATUS_OFFSET : _STATUS_OFFSET + 4], sys.byteorder)
    return not status & _UNSYNCHRONISED
