"""The quantiser at the boundary: code = clip(round(value / scale)), value = code x scale; symmetric, zero point 0, per channel.

Rounding is half to even in numpy, torch and ONNX alike, so the three agree. Signed codes of b bits span -2^(b-1) .. 2^(b-1)-1;
where a tensor is never negative (behind a ReLU), unsigned codes 0 .. 2^b-1 give it one bit more for the same rate.
"""

from dataclasses import dataclass

import numpy as np

from isthmus.errors import ExportError

_CLIP_RATIOS = np.linspace(0.3, 1.0, 29)
"""Tried parts of a channel's largest magnitude; the one of least squared error wins (as in OCTAV-style calibration)."""
_SEARCHED_MAX = 1 << 20
"""Values looked at in one go; more would not fit the caches."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Quantizer:
    """Scales and code range of one boundary tensor.

    Attributes:
        scale: float32[channel], positive: the value of one step.
        bits: 1 to 8.
        signed: whether codes can be negative.
    """

    scale: np.ndarray
    bits: int
    signed: bool

    @property
    def code_range(self) -> tuple[int, int]:
        """Smallest and largest code."""
        return code_range(self.bits, signed=self.signed)

    def quantize(self, values: np.ndarray) -> np.ndarray:
        """int8 or uint8 codes of float[batch, channel, ...] values."""
        low, high = self.code_range
        codes: np.ndarray = np.clip(np.round(values * (np.float32(1.0) / self._column(values.ndim))), low, high)
        return codes.astype(np.int8 if self.signed else np.uint8)

    def dequantize(self, codes: np.ndarray) -> np.ndarray:
        """float32 values of codes[batch, channel, ...]."""
        values: np.ndarray = codes.astype(np.float32) * self._column(codes.ndim)
        return values

    def _column(self, axes: int) -> np.ndarray:
        column: np.ndarray = self.scale.reshape(1, -1, *([1] * (axes - 2)))
        return column


def calibrate(values: np.ndarray, bits: int, *, peak: np.ndarray | None = None, lowest: float | None = None) -> Quantizer:
    """Choose scales by least squared error, channel by channel.

    Args:
        values: float[n, channel, ...], a sample of what will cross.
        bits: 1 to 8.
        peak: float[channel], largest magnitudes of what the sample was drawn from; None takes those of the sample.
        lowest: smallest of the same; where it is not negative codes are unsigned.

    Raises:
        ExportError: `bits` is out of range, or a value is not finite.
    """
    if not 1 <= bits <= 8:
        raise ExportError(f"codes have 1 to 8 bits, got {bits}")
    if not np.isfinite(values).all():
        raise ExportError("the tensor at the cut has values that are not finite; cut elsewhere")
    signed = bool((values.min(initial=0.0) if lowest is None else lowest) < 0)
    rows = np.moveaxis(values, 1, 0).reshape(values.shape[1], -1)
    peaks = np.maximum(np.abs(rows).max(axis=1) if peak is None else peak, 1e-8)
    # A part of the channels at a time: the search makes several arrays of the size of its rows.
    height = max(1, _SEARCHED_MAX // max(1, rows.shape[1]))
    starts = range(0, len(rows), height)
    scales = [_best_scales(rows[start : start + height], peaks[start : start + height], bits, signed) for start in starts]
    return Quantizer(scale=np.concatenate(scales).astype(np.float32), bits=bits, signed=signed)


def code_range(bits: int, *, signed: bool) -> tuple[int, int]:
    """Smallest and largest code.

    >>> code_range(4, signed=True), code_range(4, signed=False)
    ((-8, 7), (0, 15))
    """
    lowest = -(1 << (bits - 1)) if signed else 0
    return lowest, lowest + (1 << bits) - 1


def _best_scales(rows: np.ndarray, peaks: np.ndarray, bits: int, signed: bool) -> np.ndarray:
    """float64[channel] scales for float[channel, n]."""
    low, high = code_range(bits, signed=signed)
    steps = max(high, 1)
    wide = rows.astype(np.float64)
    best, error = peaks.astype(np.float64) / steps, np.full(len(rows), np.inf)
    for ratio in _CLIP_RATIOS:
        scale = peaks.astype(np.float64) * ratio / steps
        codes = wide / scale[:, None]
        np.clip(np.round(codes, out=codes), low, high, out=codes)
        codes *= scale[:, None]
        codes -= wide
        found = np.einsum("ij,ij->i", codes, codes)
        best, error = np.where(found < error, scale, best), np.minimum(found, error)
    return best
