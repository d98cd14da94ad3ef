"""The envelope of every payload: mode u8 | body | CRC-32 u32, little-endian, over mode and body (zlib's polynomial).

The mode says how the body is read; everything else (sizes, tables, operating point) is known from the contract, so nothing of
it is repeated here. The checksum finds what TCP's 16-bit sum lets through and what a faulty memory adds.
"""

import enum
import zlib

from isthmus.errors import MalformedPayload

OVERHEAD_BYTES = 5


class Mode(enum.IntEnum):
    """How a body is coded. The numbers are those of `isthmus.v1.Mode` and never change."""

    RAW = 1
    ZSTD = 2
    INTRA = 3
    TEMPORAL = 4
    HIDDEN_FP16 = 16
    HIDDEN_INT8 = 17
    HIDDEN_INT4 = 18


def pack(mode: Mode, body: bytes) -> bytes:
    """Put an envelope around a body.

    >>> pack(Mode.RAW, b"abc").hex()
    '01616263a9209d53'
    """
    head = bytes([mode]) + body
    return head + zlib.crc32(head).to_bytes(4, "little")


def unpack(data: bytes) -> tuple[Mode, memoryview]:
    """Take the envelope off.

    Args:
        data: exactly one payload; trailing bytes make the checksum wrong.

    Returns:
        The mode, and the body as a view on `data`.

    Raises:
        MalformedPayload: too short, wrong checksum, or a mode that does not exist.
    """
    if len(data) < OVERHEAD_BYTES:
        raise MalformedPayload(f"a payload has at least {OVERHEAD_BYTES} bytes, got {len(data)}")
    view = memoryview(data)
    found, said = zlib.crc32(view[:-4]), int.from_bytes(view[-4:], "little")
    if found != said:
        raise MalformedPayload(f"checksum of a {len(data)}-byte payload is {found:08x}, it says {said:08x}")
    try:
        mode = Mode(view[0])
    except ValueError as error:
        raise MalformedPayload(
            f"payload mode {view[0]} is unknown; this version knows {', '.join(map(str, map(int, Mode)))}"
        ) from error
    return mode, view[1:-4]
