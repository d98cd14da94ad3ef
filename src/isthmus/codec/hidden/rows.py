"""How one row of hidden states is written in each mode. Rows stand back to back, so that payloads can be joined and cut between
rows without being quantised again. Little-endian.

    fp16    width x float16
    int8    scale float32 | width x int8                     value = scale * code, code in -127..127
    int4    one scale float16 for each 32 channels | nibbles  value = scale * (nibble - 8), of the rotated row without its mean

In a byte of nibbles the lower half comes first; of an odd width the last upper half is 8. Decoders take every nibble. Where the
calibration has learned directions, a row of int4 is as `principal` writes it, and of the same size.
"""  # noqa: D205

import numpy as np

from isthmus.codec.hidden import rotation
from isthmus.codec.hidden.calibration import Calibration
from isthmus.codec.payload import Mode

BLOCK = 32
"""Channels that share a scale in int4: half a bit per value for the scales; smaller blocks gain less than they cost."""
_FP16_MAX = np.float32(65504)
_INT8_MAX, _INT4_MAX = np.float32(127), np.float32(7)


def row_bytes(mode: Mode, width: int) -> int:
    """Size of a row.

    >>> [row_bytes(mode, 64) for mode in (Mode.HIDDEN_FP16, Mode.HIDDEN_INT8, Mode.HIDDEN_INT4)]
    [128, 68, 36]
    """
    if mode is Mode.HIDDEN_FP16:
        return 2 * width
    return _int8(width).itemsize if mode is Mode.HIDDEN_INT8 else _int4(width).itemsize


def write(rows: np.ndarray, mode: Mode, calibration: Calibration) -> bytes:
    """Rows to a body; float32[row, channel], finite. What passes fp16 is cut to its largest value."""
    if mode is Mode.HIDDEN_FP16:
        halves: np.ndarray = np.clip(rows, -_FP16_MAX, _FP16_MAX).astype("<f2")
        return halves.tobytes()
    return _write_int8(rows) if mode is Mode.HIDDEN_INT8 else _write_int4(rows, calibration)


def read(body: memoryview, mode: Mode, calibration: Calibration) -> np.ndarray:
    """The way back, for a body of whole rows; float32[row, channel] that may hold NaN and infinity if the sender wrote such."""
    width = calibration.width
    if mode is Mode.HIDDEN_FP16:
        return np.asarray(np.frombuffer(body, "<f2").reshape(-1, width), np.float32)
    if mode is Mode.HIDDEN_INT8:
        packed = np.frombuffer(body, _int8(width))
        return np.asarray(packed["codes"] * packed["scale"][:, np.newaxis], np.float32)
    if calibration.principal is not None:
        data = np.frombuffer(body, np.uint8).reshape(-1, row_bytes(mode, width))
        return np.asarray(calibration.principal.read(data) + calibration.mean)
    return _read_int4(np.frombuffer(body, _int4(width)), calibration)


def _int8(width: int) -> np.dtype:
    return np.dtype([("scale", "<f4"), ("codes", "i1", (width,))])


def _int4(width: int) -> np.dtype:
    return np.dtype([("scales", "<f2", (-(-width // BLOCK),)), ("nibbles", "u1", (-(-width // 2),))])


def _write_int8(rows: np.ndarray) -> bytes:
    packed = np.empty(len(rows), _int8(rows.shape[1]))
    packed["scale"] = np.abs(rows).max(axis=1) / _INT8_MAX
    packed["codes"] = _codes(rows, packed["scale"][:, np.newaxis], _INT8_MAX)
    return packed.tobytes()


def _write_int4(rows: np.ndarray, calibration: Calibration) -> bytes:
    if calibration.principal is not None:
        return calibration.principal.write(rows - calibration.mean).tobytes()
    count, width = rows.shape
    packed = np.empty(count, _int4(width))
    blocks = np.zeros((count, packed["scales"].shape[1], BLOCK), np.float32)
    blocks.reshape(count, -1)[:, :width] = rotation.turn(rows - calibration.mean, calibration.signs)
    packed["scales"] = np.minimum(np.abs(blocks).max(axis=2) / _INT4_MAX, _FP16_MAX)
    codes = _codes(blocks, packed["scales"].astype(np.float32)[:, :, np.newaxis], _INT4_MAX).reshape(count, -1)
    nibbles = (codes[:, : 2 * packed["nibbles"].shape[1]] + 8).astype(np.uint8)
    packed["nibbles"] = nibbles[:, ::2] | nibbles[:, 1::2] << 4
    return packed.tobytes()


def _read_int4(packed: np.ndarray, calibration: Calibration) -> np.ndarray:
    count, width = len(packed), calibration.width
    codes = np.zeros((count, packed["scales"].shape[1] * BLOCK), np.float32)
    held = 2 * packed["nibbles"].shape[1]
    codes[:, :held:2] = packed["nibbles"] & 15
    codes[:, 1:held:2] = packed["nibbles"] >> 4
    codes[:, :held] -= 8
    values = codes.reshape(count, -1, BLOCK) * packed["scales"].astype(np.float32)[:, :, np.newaxis]
    rows = rotation.turn_back(values.reshape(count, -1)[:, :width], calibration.signs)
    rows += calibration.mean
    return rows


def _codes(values: np.ndarray, scales: np.ndarray, largest: np.float32) -> np.ndarray:
    """Values by their scales, rounded to even; 0 where the scale is."""
    codes = np.divide(values, scales, out=np.zeros_like(values), where=scales > 0)
    return np.asarray(np.clip(np.rint(codes), -largest, largest))
