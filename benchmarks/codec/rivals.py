"""What else could carry one frame of codes without loss: general compressors, picture formats, one fixed table a channel."""

import struct
import zlib
from collections.abc import Callable
from importlib import import_module
from typing import Any

import cv2
import numpy as np
import zstandard

Encode = Callable[[np.ndarray], int]
"""Symbols uint8[channel, row, column] -> bytes."""
OPTIONAL = ("brotli", "constriction", "av")
"""Packages of `benchmarks/codec/requirements.txt`."""


def optional(name: str) -> Any | None:
    """A package, or None where it is not installed."""
    try:
        return import_module(name)
    except ImportError:
        return None


def tile(symbols: np.ndarray) -> np.ndarray:
    """All channels in one picture, side by side and one below the other."""
    channels, rows, columns = symbols.shape
    across = int(np.ceil(np.sqrt(channels)))
    down = -(-channels // across)
    tiled = np.zeros((down * across, rows, columns), np.uint8)
    tiled[:channels] = symbols
    return tiled.reshape(down, across, rows, columns).transpose(0, 2, 1, 3).reshape(down * rows, across * columns)


def untile(picture: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """Undo `tile`."""
    channels, rows, columns = shape
    across = picture.shape[1] // columns
    tiled = picture.reshape(-1, rows, across, columns).transpose(0, 2, 1, 3).reshape(-1, rows, columns)
    return np.ascontiguousarray(tiled[:channels])


def lossless(bits: int, train: np.ndarray) -> dict[str, Encode]:
    """By name; `train` uint8[frame, channel, row, column] are symbols that fixed tables may be made from."""
    zstd_3, zstd_19 = (zstandard.ZstdCompressor(level=level, write_content_size=False) for level in (3, 19))
    found: dict[str, Encode] = {
        "zstd 3": shorter(zstd_3.compress, bits),
        "zstd 19": shorter(zstd_19.compress, bits),
        "PNG": lambda symbols: png_bytes(tile(symbols), bits),
        "WebP lossless": lambda symbols: len(cv2.imencode(".webp", tile(symbols), [cv2.IMWRITE_WEBP_QUALITY, 101])[1]),
        "entropy per channel": entropy_bytes,
    }
    if brotli := optional("brotli"):
        found["brotli 11"] = shorter(lambda data: brotli.compress(data, quality=11), bits)
    if constriction := optional("constriction"):
        found["constriction, table per channel"] = _static_channels(constriction.stream, train, bits)
    return found


def shorter(compress: Callable[[bytes], bytes], bits: int) -> Encode:
    """The better of one and, where they fit, of two symbols a byte."""
    return lambda symbols: min(len(compress(symbols.tobytes())), len(compress(_packed(symbols, bits))))


def _packed(symbols: np.ndarray, bits: int) -> bytes:
    flat = symbols.ravel()
    if bits > 4:
        return flat.tobytes()
    even = np.append(flat, np.zeros(len(flat) % 2, np.uint8))
    return (even[::2] << 4 | even[1::2]).tobytes()


def png_bytes(picture: np.ndarray, bits: int) -> int:
    """The shorter of OpenCV's PNG of 8 bits, and of one of 4 bits with the best of the filters "none" and "up"."""
    sizes = [len(cv2.imencode(".png", picture, [cv2.IMWRITE_PNG_COMPRESSION, 9])[1])]
    if bits <= 4:
        even = np.pad(picture, ((0, 0), (0, picture.shape[1] % 2)))
        rows = even[:, ::2] << 4 | even[:, 1::2]
        above = np.vstack([np.zeros_like(rows[:1]), rows[:-1]])
        sizes += [_png_size(picture, rows, 0), _png_size(picture, rows - above, 2)]
    return min(sizes)


def _png_size(picture: np.ndarray, rows: np.ndarray, kind: int) -> int:
    filtered = np.pad(rows, ((0, 0), (1, 0)), constant_values=kind)
    header = struct.pack(">IIBBBBB", picture.shape[1], picture.shape[0], 4, 0, 0, 0, 0)
    # Signature, then length, type and checksum of three chunks.
    return 8 + 3 * 12 + len(header) + len(zlib.compress(filtered.tobytes(), 9))


def entropy_bytes(symbols: np.ndarray) -> int:
    """What an ideal coder needs that knows the share of every symbol in every channel of this very frame."""
    total = 0.0
    for channel in symbols:
        counts = np.bincount(channel.ravel())
        some = counts[counts > 0]
        total += float((some * np.log2(some.sum() / some)).sum())
    return round(total / 8)


def _static_channels(stream: Any, train: np.ndarray, bits: int) -> Encode:
    counts = [np.bincount(channel.ravel(), minlength=1 << bits) + 0.02 for channel in train.swapaxes(0, 1)]
    models = [stream.model.Categorical((row / row.sum()).astype(np.float32), perfect=False) for row in counts]

    def encode(symbols: np.ndarray) -> int:
        encoder = stream.queue.RangeEncoder()
        for channel, model in zip(symbols, models, strict=True):
            encoder.encode(channel.ravel().astype(np.int32), model)
        return 4 * len(encoder.get_compressed())

    return encode
