"""How far a figure of a run would differ by chance: standard errors of series whose values depend on their neighbours.

Latencies of neighbouring frames are alike (a busy moment delays many), so they are drawn again in blocks, not one by one:
the circular block bootstrap (Politis and Romano 1992), with the block length of Politis and White 2004 ("Automatic block-length
selection for the dependent bootstrap", corrected by Patton, Politis and White 2009).
"""

import math
from collections.abc import Iterator, Sequence

import numpy as np

REPLICATES = 1000
"""Standard errors from so many are good to some 2%."""
_CHUNK_VALUES = 4_000_000
"""Indices drawn at a time, to bound memory at 32 MB."""
_SEED = 20260101
"""The same files give the same words."""
_T_975 = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306, 9: 2.262}
"""97.5% points of Student's distribution by degrees of freedom; above 9 the last one, which is never too narrow."""
NORMAL_975 = 1.96


def student(freedom: int) -> float:
    """97.5% point of Student's distribution.

    >>> student(2), student(100)
    (4.303, 2.262)
    """
    return _T_975[min(freedom, max(_T_975))]


def quantile_errors(values: np.ndarray, ranks: Sequence[float]) -> np.ndarray:
    """Standard error of each quantile of a series.

    Args:
        values: float64[frame] in the order they came, at least one.
        ranks: of the quantiles, in percent.

    Returns:
        float64[rank].
    """
    # The length of a block by ranks: single outliers of a thousand times the median say nothing about dependence.
    length = block_length(np.argsort(np.argsort(values)).astype(np.float64))
    found = [np.percentile(values[drawn], ranks, axis=1) for drawn in _drawn(len(values), length)]
    return np.asarray(np.concatenate(found, axis=1).std(axis=1, ddof=1))


def mean_error(values: np.ndarray) -> float:
    """Standard error of the mean of float64[frame], at least one, in the order they came."""
    found = [values[drawn].mean(axis=1) for drawn in _drawn(len(values), block_length(values))]
    return float(np.concatenate(found).std(ddof=1))


def block_length(values: np.ndarray) -> int:
    """Length of blocks for a series: 1 where neighbours are independent, more the longer they remember.

    >>> block_length(np.ones(50))
    1
    """
    count = len(values)
    centred = values - values.mean()
    variance = float(centred @ centred) / count
    if count < 8 or variance <= 0:
        return 1
    lags = min(count - 1, 2 * math.ceil(math.sqrt(count)))
    covariance = np.array([centred[: count - lag] @ centred[lag:] for lag in range(lags + 1)]) / count
    reach = _reach(covariance / variance, count)
    # Flat-top lag window of Politis and Romano 1995: 1 up to half of the reach, then falling to 0.
    weights = np.array([min(1.0, 2 * (1 - lag / (2 * reach))) for lag in range(min(lags, 2 * reach) + 1)])
    used = covariance[: len(weights)] * weights
    long_run = used[0] + 2 * used[1:].sum()
    if long_run <= 0:
        return 1
    slope = 2 * (used * np.arange(len(used))).sum()
    length = math.cbrt(2 * slope**2 / (4 / 3 * long_run**2) * count)
    return max(1, min(math.ceil(length), math.ceil(min(3 * math.sqrt(count), count / 3))))


def _reach(correlation: np.ndarray, count: int) -> int:
    """The lag behind which correlation is not seen any more, at least 1."""
    small = np.abs(correlation) < 2 * math.sqrt(math.log10(count) / count)
    in_row = max(5, math.ceil(math.sqrt(math.log10(count))))
    for lag in range(1, len(correlation) - in_row + 1):
        if small[lag : lag + in_row].all():
            return max(1, lag - 1)
    return max(1, len(correlation) // 2)


def _drawn(count: int, length: int) -> Iterator[np.ndarray]:
    """Indices int64[replicate, frame] of series made of blocks drawn at random; the end is followed by the beginning."""
    random = np.random.default_rng(_SEED)
    blocks = math.ceil(count / length)
    at_a_time = max(1, _CHUNK_VALUES // (blocks * length))
    for done in range(0, REPLICATES, at_a_time):
        starts = random.integers(0, count, (min(at_a_time, REPLICATES - done), blocks, 1))
        yield ((starts + np.arange(length)) % count).reshape(len(starts), -1)[:, :count]
