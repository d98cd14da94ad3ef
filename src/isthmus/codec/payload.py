"""The envelope of every payload: mode u8 | body | CRC-32 u32, little-endian, over mode and body (zlib's polynomial).

The mode says how the body is read; everything else (sizes, tables, operating point) is known from the contract, so nothing of
it is repeated here. The checksum finds what TCP's 16-bit sum lets through and what a faulty memory adds. That of a temporal
payload goes on over the symbols of its reference frame, so that none is ever decoded with another one than it was made with.
"""

import enum
import zlib

from isthmus.errors import MalformedPayload

OVERHEAD_BYTES = 5
Reference = bytes | memoryview


class Mode(enum.IntEnum):
    """How a body is coded. The numbers are those of `isthmus.v1.Mode` and never change."""

    RAW = 1
    ZSTD = 2
    INTRA = 3
    TEMPORAL = 4
    HIDDEN_FP16 = 16
    HIDDEN_INT8 = 17
    HIDDEN_INT4 = 18


def pack(mode: Mode, body: bytes, reference: Reference = b"") -> bytes:
    """Put an envelope around a body.

    >>> pack(Mode.RAW, b"abc").hex()
    '01616263a9209d53'
    """
    head = bytes([mode]) + body
    return head + zlib.crc32(reference, zlib.crc32(head)).to_bytes(4, "little")


def mode_of(data: bytes) -> int:
    """The number of the mode that a payload claims to have; 0 for an empty one."""
    return data[0] if data else 0


def unpack(data: bytes, reference: Reference = b"") -> tuple[Mode, memoryview]:
    """Take the envelope off.

    Args:
        data: exactly one payload; trailing bytes make the checksum wrong.
        reference: symbols of the frame that a temporal payload builds on; nothing for any other.

    Returns:
        The mode, and the body as a view on `data`.

    Raises:
        MalformedPayload: too short, wrong checksum, or a mode that does not exist.
    """
    if len(data) < OVERHEAD_BYTES:
        raise MalformedPayload(f"a payload has at least {OVERHEAD_BYTES} bytes, got {len(data)}")
    view = memoryview(data)
    found, said = zlib.crc32(reference, zlib.crc32(view[:-4])), int.from_bytes(view[-4:], "little")
    if found != said:
        other = ", or builds on another reference" if view[0] == Mode.TEMPORAL else ""
        raise MalformedPayload(f"checksum of a {len(data)}-byte payload is {found:08x}, it says {said:08x}{other}")
    try:
        mode = Mode(view[0])
    except ValueError as error:
        raise MalformedPayload(
            f"payload mode {view[0]} is unknown; this version knows {', '.join(map(str, map(int, Mode)))}"
        ) from error
    return mode, view[1:-4]
