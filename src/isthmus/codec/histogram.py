"""From counts to the levels, the alphabet and the frequencies of a table."""

from itertools import pairwise

import numpy as np

from isthmus.codec.analysis import Cells, miss_bits
from isthmus.codec.table import FRACTIONS, LEVELS, PROBABILITY_BITS, THRESHOLD_MAX

FINE_LEVELS = 96
"""Levels of equal population that the final ones are merged from."""
LEVEL_PRIOR, POOL_PRIOR, FLAT_PRIOR = 16.0, 4.0, 0.3
"""Counts that a context borrows from its level, from the whole tensor, and from nowhere: a symbol that the calibration never
showed must stay affordable in an unseen scene."""
ENTRIES_MAX = 4096
"""Frequencies of one table: 8 kB."""
ENTRY_BITS = 4.0
"""What a further frequency must save on the calibration frames; below, it fits their chance."""


def choose_thresholds(expected: np.ndarray, miss: np.ndarray, bits: int) -> tuple[int, ...]:
    """Part the expected errors into levels so that misses cost least.

    Fine levels of equal population come first; then the two neighbours whose union costs least become one, until `LEVELS` are
    left.

    Args:
        expected: int[sample], 0 to 8191.
        miss: int[sample], of `bits` bits.
        bits: of a symbol.
    """
    alphabet = 1 << bits
    cuts = np.unique(np.quantile(expected, np.linspace(0, 1, FINE_LEVELS + 1)[1:-1]).astype(np.int64))
    fine = np.searchsorted(cuts, expected, side="right")
    counts = np.bincount(fine.ravel() * alphabet + miss.ravel() % alphabet, minlength=(len(cuts) + 1) * alphabet)
    groups = [row.astype(np.float64) for row in counts.reshape(-1, alphabet)]
    thresholds = cuts.tolist()
    while len(groups) > LEVELS:
        merged = [_cost(low + high) - _cost(low) - _cost(high) for low, high in pairwise(groups)]
        best = int(np.argmin(merged))
        groups[best : best + 2] = [groups[best] + groups[best + 1]]
        del thresholds[best]
    return tuple(thresholds + [THRESHOLD_MAX] * (LEVELS - 1 - len(thresholds)))


def _cost(counts: np.ndarray) -> float:
    """Bits of symbols with these counts, each coded by its own share."""
    some = counts[counts > 0]
    return float((some * np.log2(some.sum() / some)).sum())


def choose_frequencies(level: Cells, parts: dict[int, Cells], miss: Cells, bits: int) -> tuple[int, np.ndarray]:
    """The number of fractions and the frequencies that cost least, with what a table itself is worth.

    Args:
        level: context level of every sample.
        parts: for each of FRACTIONS, into which part every sample falls.
        miss: of every sample.
        bits: of a symbol.

    Returns:
        Fractions, and int16[LEVELS * fractions, alphabet].
    """
    best: tuple[float, int, np.ndarray] | None = None
    for fractions in FRACTIONS:
        context = level * fractions + parts[fractions]
        for alphabet_bits in range(1, bits + 1):
            if LEVELS * fractions << alphabet_bits > ENTRIES_MAX:
                continue
            frequencies = make_frequencies(context, miss, fractions=fractions, bits=bits, alphabet_bits=alphabet_bits)
            cost = float(miss_bits(context, miss, frequencies, bits).sum()) + ENTRY_BITS * frequencies.size
            if best is None or cost < best[0]:
                best = cost, fractions, frequencies
    assert best is not None
    return best[1], best[2]


def make_frequencies(context: Cells, miss: Cells, *, fractions: int, bits: int, alphabet_bits: int) -> np.ndarray:
    """Frequencies from the misses seen in each context.

    Returns:
        int16[LEVELS * fractions, 2^alphabet_bits], each at least 1, each row with the sum 4096.
    """
    contexts, alphabet = LEVELS * fractions, 1 << alphabet_bits
    coded = miss % alphabet if alphabet_bits == bits else np.where(np.abs(miss) < alphabet // 2, miss % alphabet, alphabet // 2)
    counts = np.bincount(context.ravel() * alphabet + coded.ravel(), minlength=contexts * alphabet).astype(np.float64)
    counts = counts.reshape(LEVELS, fractions, alphabet)
    pool = _share(counts.sum(axis=(0, 1)) + _decay(alphabet_bits))
    level = counts.sum(axis=1, keepdims=True)
    level = _share(level + POOL_PRIOR * pool)
    smooth = counts + LEVEL_PRIOR * level + POOL_PRIOR * pool + FLAT_PRIOR * _share(_decay(alphabet_bits))
    return np.stack([normalise(row) for row in smooth.reshape(contexts, alphabet)])


def _decay(bits: int) -> np.ndarray:
    """Weights that fall with the square of the distance from 0, around the circle of symbols."""
    symbols = np.arange(1 << bits)
    return 1.0 / (1 + np.minimum(symbols, (1 << bits) - symbols)) ** 2


def _share(counts: np.ndarray) -> np.ndarray:
    shares: np.ndarray = counts / counts.sum(axis=-1, keepdims=True)
    return shares


def normalise(weights: np.ndarray) -> np.ndarray:
    """Whole numbers of at least 1 with the sum 4096, in proportion to `weights` (largest remainders first).

    >>> normalise(np.array([1.0, 1.0, 0.0])).tolist()
    [2048, 2047, 1]
    """
    total = 1 << PROBABILITY_BITS
    wanted = 1 + weights / weights.sum() * (total - len(weights))
    whole = np.floor(wanted).astype(np.int64)
    order = np.argsort(whole - wanted, kind="stable")
    whole[order[: total - int(whole.sum())]] += 1
    frequencies: np.ndarray = whole.astype(np.int16)
    return frequencies
