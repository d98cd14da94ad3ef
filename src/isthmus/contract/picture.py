"""Compressed pictures: what the offload placement sends, and what evidence is.

A picture from a peer is decoded only after its header said that it is small enough.
"""

import re

import cv2
import numpy as np

from isthmus.errors import ConfigError, LimitExceeded, MalformedPayload

Picture = np.ndarray
"""uint8[row, column, 3] in BGR order, as OpenCV reads and writes it."""

_FORMATS = {"jpeg": ".jpg", "webp": ".webp", "png": ".png"}


def encode_picture(picture: Picture, format_name: str, quality: int) -> bytes:
    """Compress a picture as "jpeg", "webp" or "png".

    Args:
        picture: uint8[row, column, 3] in BGR order.
        format_name: one of the three names.
        quality: 1 to 100; not used by png.

    Raises:
        ConfigError: the format is unknown or OpenCV refuses the picture.
    """
    if format_name not in _FORMATS:
        raise ConfigError(f"picture format {format_name!r} is unknown; use one of {', '.join(_FORMATS)}")
    flags = {"jpeg": cv2.IMWRITE_JPEG_QUALITY, "webp": cv2.IMWRITE_WEBP_QUALITY}
    options = [flags[format_name], quality] if format_name in flags else []
    refusal = f"a picture of {picture.dtype}{list(picture.shape)} cannot be written as {format_name}"
    try:
        done, data = cv2.imencode(_FORMATS[format_name], picture, options)
    except cv2.error as error:
        raise ConfigError(refusal) from error
    if not done:
        raise ConfigError(refusal)
    return data.tobytes()


_SIGNATURES = {
    "jpeg": re.compile(rb"\xff\xd8\xff"),
    "png": re.compile(rb"\x89PNG\r\n\x1a\n.{4}IHDR", re.DOTALL),
    "webp": re.compile(rb"RIFF.{4}WEBP", re.DOTALL),
}
"""How a file begins. OpenCV chooses the decoder by the first bytes, so they must be exactly those of the header read here."""


def decode_picture(data: bytes, format_name: str, *, pixels_max: int) -> Picture:
    """Decompress a picture that came from a peer.

    Args:
        data: the file's bytes.
        format_name: what the peer says it is.
        pixels_max: largest width times height that is decoded; checked in the file's header first.

    Returns:
        uint8[row, column, 3] in BGR order.

    Raises:
        MalformedPayload: not a picture of that format, or damaged.
        LimitExceeded: larger than `pixels_max`; nothing was decoded.
    """
    check_picture(data, format_name, pixels_max=pixels_max)
    try:
        picture = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as error:
        raise MalformedPayload(f"{len(data)} bytes of {format_name} cannot be decoded") from error
    if picture is None:
        raise MalformedPayload(f"{len(data)} bytes of {format_name} cannot be decoded")
    return picture.astype(np.uint8, copy=False)


def check_picture(data: bytes, format_name: str, *, pixels_max: int) -> None:
    """Look at the header of a picture that came from a peer; nothing is decoded.

    Raises:
        MalformedPayload: not a picture of that format.
        LimitExceeded: larger than `pixels_max`.
    """
    if format_name not in _SIGNATURES:
        raise MalformedPayload(f"picture format {format_name[:32]!r} is not taken; use one of {', '.join(_SIGNATURES)}")
    if not _SIGNATURES[format_name].match(data):
        raise MalformedPayload(f"{len(data)} bytes said to be {format_name} do not begin like one")
    size = _declared_size(data, format_name)
    if size is None or 0 in size:
        raise MalformedPayload(f"{len(data)} bytes of {format_name} hold no picture size")
    if size[0] * size[1] > pixels_max:
        raise LimitExceeded(f"picture of {size[0]}x{size[1]} pixels, at most {pixels_max} pixels are taken")


def _declared_size(data: bytes, format_name: str) -> tuple[int, int] | None:
    """Width and height from the header, or None where it has none. JPEG: ITU T.81 B.2.2; WebP: RFC 9649; PNG: RFC 2083."""
    if format_name == "png":
        if len(data) < 24:
            return None
        return int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
    return _jpeg_size(data) if format_name == "jpeg" else _webp_size(data)


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    position = 2
    while position + 9 <= len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        if marker == 0xFF:
            position += 1
        elif 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = data[position + 5 : position + 7], data[position + 7 : position + 9]
            return int.from_bytes(width, "big"), int.from_bytes(height, "big")
        elif marker == 0x01 or 0xD0 <= marker <= 0xD7:
            position += 2
        elif marker == 0x00 or 0xD8 <= marker <= 0xDA:
            # No frame header comes before these in a sound file; decoders skip some of them otherwise than by a length,
            # and would find another header than this loop.
            return None
        else:
            position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
    return None


def _webp_size(data: bytes) -> tuple[int, int] | None:
    if len(data) < 30:
        return None
    kind = data[12:16]
    if kind == b"VP8 ":
        return int.from_bytes(data[26:28], "little") & 0x3FFF, int.from_bytes(data[28:30], "little") & 0x3FFF
    if kind == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8X":
        return int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1
    return None
