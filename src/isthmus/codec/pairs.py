"""Pairs of a frame and an earlier one, made up from stills, for an export that has no video.

A static camera changes what moves through the picture and, by its noise, a few codes that lie next to a rounding boundary. So
the earlier frame is the same one with some rectangles from another picture, and with single steps at random. On three real fixed
cameras such tables came within a tenth of those from pairs of other real cameras; for a moving camera take real pairs.
"""

import numpy as np

from isthmus.codec.analysis import Batch, Cells

STEPS = (0.003, 0.01, 0.03)
"""Shares of codes that noise moves by one step, one of them for each pair: from a good sensor by day to a poor one by night."""
PATCHES_MAX = 2
"""Rectangles of a pair, each up to a third of the height and width. That a whole picture changes need not be learned: such a
frame goes out as `intra`."""


def make_pairs(now: Cells, bits: int, seed: int = 0) -> Batch:
    """Frames with made-up earlier frames.

    Args:
        now: int32[frame, channel, row, column].
        bits: of a symbol.
        seed: of the random numbers.
    """
    random = np.random.default_rng(seed)
    reference = now.copy()
    others = np.roll(now, 1, axis=0)
    for frame, other in zip(reference, others, strict=True):
        for _ in range(int(random.integers(0, PATCHES_MAX + 1))):
            rows, columns = (_stretch(random, size) for size in now.shape[2:])
            frame[:, rows, columns] = other[:, rows, columns]
        moved = random.random(frame.shape) < random.choice(STEPS)
        frame += moved * random.choice([-1, 1], frame.shape)
    return Batch(now, np.clip(reference, 0, (1 << bits) - 1).astype(np.int32))


def _stretch(random: np.random.Generator, size: int) -> slice:
    length = int(random.integers(1, size // 3 + 2))
    start = int(random.integers(0, max(1, size - length + 1)))
    return slice(start, start + length)
