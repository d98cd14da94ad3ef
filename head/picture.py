"""One picture file: its size read from the header, refused when it is too large, then decoded.

A small file can unpack to gigabytes, so nothing is decoded before its header has been believed and checked. OpenCV has a limit
of its own, but reads it from the environment once, when it is imported, where this module may come too late.
"""

import struct
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from isthmus.errors import SourceError

# 64 megapixels is more than any camera that a device streams from, and 192 MB when decoded.
MAX_PIXELS = 64_000_000
# A picture of MAX_PIXELS as an uncompressed BMP with alpha.
MAX_FILE_BYTES = 4 * MAX_PIXELS + 4096

PICTURE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp"})

# Start-of-frame markers of JPEG (ITU T.81, table B.1): C0 to CF but for DHT (C4), JPG (C8) and DAC (CC).
_JPEG_FRAME_MARKERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_BARE_MARKERS = frozenset({0x01, *range(0xD0, 0xD8)})
_JPEG_END = b"\xff\xd9"


def read_picture(path: Path) -> NDArray[np.uint8]:
    """Decode one file.

    Returns:
        uint8[row, column, channel], blue, green, red, turned as its EXIF orientation says.

    Raises:
        SourceError: the file cannot be read, is no JPEG, PNG, WebP or BMP, is cut short, is damaged, or has more than
            `MAX_PIXELS` pixels.
    """
    try:
        size_bytes = path.stat().st_size
        if size_bytes > MAX_FILE_BYTES:
            raise SourceError(f"{path.name} has {size_bytes} bytes; a picture may have {MAX_FILE_BYTES}")
        data = path.read_bytes()
    except OSError as error:
        raise SourceError(f"{path.name} cannot be read: {error.strerror or error}") from error
    try:
        return _decode(data)
    except SourceError as error:
        raise SourceError(f"{path.name} {error}") from error


def _decode(data: bytes) -> NDArray[np.uint8]:
    width, height = picture_size(data)
    if width * height > MAX_PIXELS:
        raise SourceError(f"has {width}x{height} pixels; a picture may have {MAX_PIXELS}: make it smaller")
    if _is_cut_short(data):
        raise SourceError("is cut short: the end of the picture is missing")
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as error:
        raise SourceError("is damaged: OpenCV cannot decode it") from error
    if image is None:
        raise SourceError("is damaged: OpenCV cannot decode it")
    return image.astype(np.uint8, copy=False)


def picture_size(data: bytes) -> tuple[int, int]:
    """Read width and height from the header of a JPEG, PNG, WebP or BMP; nothing is decoded.

    Raises:
        SourceError: the bytes are of another kind, end within the header, or a side is not positive.
    """
    try:
        size = _header_size(data)
    except (struct.error, IndexError) as error:
        raise SourceError("is cut short: it ends within the header") from error
    if size is None:
        raise SourceError("is no JPEG, PNG, WebP or BMP picture")
    if min(size) < 1:
        raise SourceError(f"declares {size[0]}x{size[1]} pixels; both have to be positive")
    return size


def _header_size(data: bytes) -> tuple[int, int] | None:
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        width, height = struct.unpack_from(">II", data, 16)
        return width, height
    if data.startswith(b"\xff\xd8"):
        return _jpeg_size(data)
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return _webp_size(data)
    if data.startswith(b"BM"):
        return _bmp_size(data)
    return None


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    at = 2
    while data[at] == 0xFF:
        marker = data[at + 1]
        if marker in _JPEG_FRAME_MARKERS:
            height, width = struct.unpack_from(">HH", data, at + 5)
            return width, height
        if marker == 0xFF:
            at += 1
        elif marker in _JPEG_BARE_MARKERS:
            at += 2
        else:
            at += 2 + struct.unpack_from(">H", data, at + 2)[0]
    return None


def _webp_size(data: bytes) -> tuple[int, int] | None:
    chunk = data[12:16]
    if chunk == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    if chunk == b"VP8L":
        bits = struct.unpack_from("<I", data, 21)[0]
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if chunk == b"VP8X":
        low, high = struct.unpack_from("<IH", data, 24)
        return (low & 0xFFFFFF) + 1, (low >> 24 | high << 8) + 1
    return None


def _bmp_size(data: bytes) -> tuple[int, int]:
    if struct.unpack_from("<I", data, 14)[0] == 12:
        width, height = struct.unpack_from("<HH", data, 18)
        return width, height
    width, height = struct.unpack_from("<ii", data, 18)
    # A negative height means that rows go from top to bottom.
    return width, abs(height)


def _is_cut_short(data: bytes) -> bool:
    """Whether the end is missing; decoders then fill up with grey and say nothing."""
    if data.startswith(b"\xff\xd8"):
        return data.rfind(_JPEG_END) < data.rfind(b"\xff\xda")
    if data.startswith(b"\x89PNG"):
        return b"IEND" not in data[-4096:]
    if data.startswith(b"RIFF"):
        return bool(struct.unpack_from("<I", data, 4)[0] + 8 > len(data))
    return False
