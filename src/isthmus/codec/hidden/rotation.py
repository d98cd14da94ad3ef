"""The rotation in front of int4: a Walsh-Hadamard transform over the channels, with signs flipped before it.

A few channels of a language model's hidden states are a hundred times larger than the rest, and one of them spoils the scale of
its whole block. After the rotation every channel holds a little of each (Ashkboos et al. 2024, "QuaRot", section 3). A width
that is no power of two is turned block by block, in blocks of the largest power of two that divides it.

Only sums, differences and one multiplication per value, always in the same order: every machine gives the same floats.
"""

import numpy as np


def block_of(width: int) -> int:
    """The largest power of two that divides a width.

    >>> block_of(4096), block_of(576), block_of(7)
    (4096, 64, 1)
    """
    return width & -width


def turn(rows: np.ndarray, signs: np.ndarray) -> np.ndarray:
    """Rotate rows.

    Args:
        rows: float32[row, channel].
        signs: float32[channel] of 1 and -1.

    Returns:
        float32[row, channel], of the same length row by row; a copy.
    """
    return _transform(rows * signs)


def turn_back(rows: np.ndarray, signs: np.ndarray) -> np.ndarray:
    """The way back: the transform is its own inverse."""
    back = _transform(rows)
    back *= signs
    return back


def _transform(rows: np.ndarray) -> np.ndarray:
    """The fast transform (Fino and Algazi 1976), log2(block) steps of sums and differences, then one scale."""
    count, width = rows.shape
    block = block_of(width)
    half = 1
    while half < block:
        pairs = rows.reshape(count, width // (2 * half), 2, half)
        turned = np.empty_like(pairs)
        np.add(pairs[:, :, 0], pairs[:, :, 1], out=turned[:, :, 0])
        np.subtract(pairs[:, :, 0], pairs[:, :, 1], out=turned[:, :, 1])
        rows = turned
        half *= 2
    scaled: np.ndarray = rows.reshape(count, width) * np.float32(block**-0.5)
    return scaled
