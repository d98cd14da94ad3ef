"""From counts to the levels and frequencies of a table."""

from itertools import pairwise

import numpy as np

from isthmus.codec.table import LEVELS, PROBABILITY_BITS, THRESHOLD_MAX

FINE_LEVELS = 96
"""Levels of equal population that the final ones are merged from."""
LEVEL_PRIOR, POOL_PRIOR, FLAT_PRIOR = 16.0, 4.0, 0.3
"""Counts that a context borrows from its level, from the whole tensor, and from nowhere: a symbol that the calibration never
showed must stay affordable in an unseen scene."""


def choose_thresholds(expected: np.ndarray, coded: np.ndarray, alphabet: int) -> tuple[int, ...]:
    """Part the expected errors into levels so that symbols cost least: fine levels of equal population, then the two neighbours
    whose union costs least become one, until `LEVELS` are left.

    Args:
        expected: int[sample], 0 to 8191.
        coded: int[sample], 0 to alphabet - 1.
        alphabet: number of symbols.
    """  # noqa: D205
    cuts = np.unique(np.quantile(expected, np.linspace(0, 1, FINE_LEVELS + 1)[1:-1]).astype(np.int64))
    fine = np.searchsorted(cuts, expected, side="right")
    counts = np.bincount(fine.ravel() * alphabet + coded.ravel(), minlength=(len(cuts) + 1) * alphabet)
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


def make_frequencies(context: np.ndarray, coded: np.ndarray, *, fractions: int, bits: int) -> np.ndarray:
    """Frequencies from the symbols seen in each context.

    Returns:
        int16[LEVELS * fractions, 2^bits], each at least 1, each row with the sum 4096.
    """
    contexts, alphabet = LEVELS * fractions, 1 << bits
    counts = np.bincount(context.ravel() * alphabet + coded.ravel(), minlength=contexts * alphabet).astype(np.float64)
    counts = counts.reshape(LEVELS, fractions, alphabet)
    pool = _share(counts.sum(axis=(0, 1)) + _decay(bits))
    level = counts.sum(axis=1, keepdims=True)
    level = _share(level + POOL_PRIOR * pool)
    smooth = counts + LEVEL_PRIOR * level + POOL_PRIOR * pool + FLAT_PRIOR * _share(_decay(bits))
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
