"""Principal directions in front of int4, and more bits for those along which hidden states vary more.

Hidden states of a trained model lie near a few directions. Turned into them (Karhunen and Loève's transform) and with bits by
reverse water-filling (Cover and Thomas, "Elements of Information Theory", section 10.3.3), a row of the same size is nearer to
what it was than with a rotation that spreads everything and four bits for all (`python -m benchmarks.llm --only agreement`).

A row, little-endian:

    scales float16[blocks] | codes, `bits[block]` bits for each of 32 directions     value = scale * (code - 2 ** (bits - 1))

Codes follow each other without gaps, the lowest bit first. Scales may be negative: the value of a block that is farthest from 0
takes the lowest code, of which there is one more than there are above 0.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np

BLOCK = 32
BITS_MEAN, BITS_MAX = 4, 8
WIDTH_MAX = 1024
"""Widest row whose directions are learned: the basis has 4 MB there, and takes a million multiplications for each row and way."""
ROWS_MIN = 4
"""For each channel; of fewer rows the directions that hardly vary are guesses."""
_SHRINKS = np.linspace(0.6, 1.1, 11, dtype=np.float32)
"""Scales that are tried for each block, over the one that just reaches its farthest value."""
_FP16_MAX = np.float32(65504)


@dataclass(frozen=True, eq=False)
class Principal:
    """Directions and their bits.

    Attributes:
        basis: float32[channel, direction], orthonormal columns, those of most variance first.
        bits: uint8[block], 0 to 8, four in the mean, for each block of 32 directions.
    """

    basis: np.ndarray
    bits: np.ndarray

    @classmethod
    def of_rows(cls, rows: np.ndarray) -> Self | None:
        """Learn from rows without their mean; None where rows are too wide, too few, or do not fill blocks.

        Args:
            rows: float64[row, channel]. Directions come from all of them, bits from how the second half varies along those of
                the first, so that chance in the directions is not taken for variance that is not there.
        """
        count, width = rows.shape
        if width % BLOCK or width > WIDTH_MAX or count < ROWS_MIN * width:
            return None
        first, second = rows[: count // 2], rows[count // 2 :]
        varied = ((second @ _directions(first)) ** 2).mean(axis=0).reshape(-1, BLOCK).mean(axis=1)
        return cls(_directions(rows).astype(np.float32), allot(varied))

    @cached_property
    def _wide(self) -> np.ndarray:
        """float64, so that a row gives the same floats however many rows go through at once."""
        return self.basis.astype(np.float64)

    @cached_property
    def _kept(self) -> np.ndarray:
        """bool[direction, 8]: bits of a code that are written."""
        return np.repeat(np.arange(8) < self.bits[:, np.newaxis], BLOCK, axis=0)

    @property
    def _lowest(self) -> np.ndarray:
        """float32[block, 1]: how far codes go below 0; half a one where there are none."""
        return np.ldexp(np.float32(0.5), self.bits.astype(np.int32))[:, np.newaxis]

    def write(self, rows: np.ndarray) -> np.ndarray:
        """Rows without their mean, float32[row, channel], to uint8[row, byte]."""
        count = len(rows)
        blocks = (rows.astype(np.float64) @ self._wide).astype(np.float32).reshape(count, -1, BLOCK)
        scales = self._scales(blocks)
        codes = self._codes(blocks, scales) + self._lowest
        bits = np.unpackbits(codes.astype(np.uint8).reshape(count, -1, 1), axis=2, bitorder="little")
        packed = np.packbits(bits[:, self._kept], axis=1, bitorder="little")
        return np.concatenate([scales.astype("<f2")[:, :, 0].copy().view(np.uint8), packed], axis=1)

    def read(self, data: np.ndarray) -> np.ndarray:
        """The way back."""
        count, blocks = len(data), len(self.bits)
        scales = data[:, : 2 * blocks].copy().view("<f2").astype(np.float32)[:, :, np.newaxis]
        bits = np.zeros((count, *self._kept.shape), np.uint8)
        bits[:, self._kept] = np.unpackbits(data[:, 2 * blocks :], axis=1, bitorder="little")
        codes = np.packbits(bits, axis=2, bitorder="little").reshape(count, blocks, BLOCK)
        values = (codes - self._lowest) * scales * (self.bits > 0)[:, np.newaxis]
        return np.asarray((values.reshape(count, -1).astype(np.float64) @ self._wide.T).astype(np.float32))

    def _scales(self, blocks: np.ndarray) -> np.ndarray:
        """float32[row, block, 1], as float16 has them: of those that are tried, the ones of least squared error."""
        farthest = np.take_along_axis(blocks, np.abs(blocks).argmax(axis=2)[:, :, np.newaxis], axis=2)
        tried = -farthest / self._lowest * _SHRINKS[:, np.newaxis, np.newaxis, np.newaxis]
        tried = np.clip(tried, -_FP16_MAX, _FP16_MAX).astype("<f2").astype(np.float32)
        errors = ((self._codes(blocks, tried) * tried - blocks) ** 2).sum(axis=3)
        best = errors.argmin(axis=0)
        return np.asarray(np.take_along_axis(tried[..., 0], best[np.newaxis], axis=0)[0][:, :, np.newaxis])

    def _codes(self, blocks: np.ndarray, scales: np.ndarray) -> np.ndarray:
        """Values by their scales, rounded to even, within the bits of their block; 0 where the scale is."""
        filled = np.where(scales == 0, np.float32(np.inf), scales)
        codes = np.rint(blocks / filled)
        return np.asarray(np.clip(codes, -self._lowest, self._lowest - 1))


def allot(varied: np.ndarray) -> np.ndarray:
    """Bits by block, one after the other to the block whose error is the largest: each takes three quarters of it away.

    >>> allot(np.array([16.0, 1.0, 1.0, 0.06])).tolist()
    [6, 4, 4, 2]
    """
    bits = np.zeros(len(varied), np.uint8)
    for _ in range(BITS_MEAN * len(varied)):
        left = np.where(bits < BITS_MAX, varied * 0.25**bits, -1.0)
        bits[left.argmax()] += 1
    return bits


def _directions(rows: np.ndarray) -> np.ndarray:
    """float64[channel, direction], most variance first."""
    _, found = np.linalg.eigh(rows.T @ rows)
    return np.asarray(found[:, ::-1])
