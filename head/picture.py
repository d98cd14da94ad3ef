"""One picture file, refused when its header declares too much, then decoded.

JPEG, PNG and WebP are decoded as the contract does it for pictures from a peer. Files may be BMP too, and may be cut short by
a full disk or a copy that broke off.
"""

import struct
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from isthmus.contract.picture import decode_picture
from isthmus.errors import LimitExceeded, MalformedPayload, SourceError

MAX_PIXELS = 64_000_000
"""More than any camera that a device streams from, and 192 MB when decoded."""
MAX_FILE_BYTES = 4 * MAX_PIXELS + 4096
"""A picture of MAX_PIXELS as an uncompressed BMP with alpha."""

PICTURE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp"})

_JPEG_SCAN, _JPEG_END = b"\xff\xda", b"\xff\xd9"
_BMP_INFO = struct.Struct("<14xIii")
"""After 14 bytes of file header: size of the header that follows, width, height."""
_BMP_CORE_HEADER_BYTES = 12


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
        return decode(data)
    except (LimitExceeded, MalformedPayload) as error:
        raise SourceError(f"{path.name} cannot be used: {error}") from error


def decode(data: bytes) -> NDArray[np.uint8]:
    """Decode the bytes of one picture; result and limit as for `read_picture`.

    Raises:
        MalformedPayload: they are no JPEG, PNG, WebP or BMP, are cut short, or are damaged.
        LimitExceeded: more than `MAX_PIXELS` pixels; nothing was decoded.
    """
    if data.startswith(b"BM"):
        return _decode_bmp(data)
    format_name = _format_name(data)
    # OpenCV 4 fills up a JPEG that ends early with grey. Within a scan, FF is never followed by D9 (ITU T.81 B.1.1.2).
    if format_name == "jpeg" and data.rfind(_JPEG_END) < data.rfind(_JPEG_SCAN):
        raise MalformedPayload("the end of the picture is missing")
    return decode_picture(data, format_name, pixels_max=MAX_PIXELS)


def _format_name(data: bytes) -> str:
    if data.startswith(b"\xff\xd8"):
        return "jpeg"
    if data.startswith(b"\x89PNG"):
        return "png"
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "webp"
    raise MalformedPayload("it is no JPEG, PNG, WebP or BMP picture")


def _decode_bmp(data: bytes) -> NDArray[np.uint8]:
    if len(data) < _BMP_INFO.size:
        raise MalformedPayload(f"{len(data)} bytes hold no BMP header")
    header_bytes, width, height = _BMP_INFO.unpack_from(data)
    if header_bytes == _BMP_CORE_HEADER_BYTES:
        width, height = struct.unpack_from("<HH", data, 18)
    # A negative height means that rows go from top to bottom.
    if width * abs(height) > MAX_PIXELS:
        raise LimitExceeded(f"picture of {width}x{abs(height)} pixels, at most {MAX_PIXELS} pixels are taken")
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as error:
        raise MalformedPayload(f"{len(data)} bytes of BMP cannot be decoded") from error
    if image is None:
        raise MalformedPayload(f"{len(data)} bytes of BMP cannot be decoded")
    return image.astype(np.uint8, copy=False)
