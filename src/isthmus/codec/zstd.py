"""Mode `zstd`: the symbols, one byte each, as one Zstandard frame (RFC 8878) without magic number, size and checksum.

One byte per symbol and not packed bits: the entropy stage works on bytes, and packed nibbles hide their statistics from it.
"""

import threading

import numpy as np
import zstandard

from isthmus.codec.symbols import Symbols
from isthmus.contract.boundary import Boundary, OperatingPoint, point_size
from isthmus.errors import MalformedPayload

LEVEL = 9
"""On bottlenecks of some kilobytes higher levels save below 1% and take several times longer."""
MAX_WINDOW_BYTES = 8 << 20
"""What RFC 8878 asks every decoder to support; no boundary of a real network needs more."""


class _Contexts(threading.local):
    """What compresses and decompresses: dear to make, and not for two threads at a time."""

    def __init__(self) -> None:
        parameters = zstandard.ZstdCompressionParameters.from_level(
            LEVEL, format=zstandard.FORMAT_ZSTD1_MAGICLESS, write_content_size=0, write_checksum=0, write_dict_id=0
        )
        self.compressor = zstandard.ZstdCompressor(compression_params=parameters)
        self.decompressor = zstandard.ZstdDecompressor(format=zstandard.FORMAT_ZSTD1_MAGICLESS)


_of_this_thread = _Contexts()


def encode(symbols: Symbols) -> bytes:
    """Compress symbols (see `symbols.from_codes`)."""
    return _of_this_thread.compressor.compress(symbols.tobytes())


def decode(body: memoryview, boundary: Boundary, point: OperatingPoint) -> Symbols:
    """Decompress symbols; never makes more than the boundary has.

    Raises:
        MalformedPayload: not one Zstandard frame, or not of the boundary's size.
    """
    expected = point_size(boundary, point)
    try:
        # A frame may declare any content size and would be given that much memory; ours declare none.
        frame = zstandard.get_frame_parameters(bytes(body), format=zstandard.FORMAT_ZSTD1_MAGICLESS)
        if frame.content_size not in (zstandard.CONTENTSIZE_UNKNOWN, 0) or frame.window_size > MAX_WINDOW_BYTES:
            raise MalformedPayload(f"a zstd body declares {frame.content_size} bytes and a window of {frame.window_size}")
        data = _of_this_thread.decompressor.decompress(body, max_output_size=expected, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise MalformedPayload(f"a zstd body of {len(body)} bytes cannot be read ({error})") from error
    if len(data) != expected:
        raise MalformedPayload(f"a zstd body at point {point.name!r} holds {expected} symbols, got {len(data)}")
    return np.frombuffer(data, dtype=np.uint8)
