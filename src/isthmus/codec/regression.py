"""Least squares with few terms: forward selection, the best term first.

With the cross products of all candidates at hand, one step of Gauss-Jordan elimination (the sweep operator: Goodnight, A Tutorial
on the SWEEP Operator, 1979) takes a term in, and the diagonal then says what each of the others would still explain.
"""

from collections.abc import Sequence

import numpy as np

RIDGE = 1e-3
"""Variance added to every candidate, as a share of the target's: keeps weights small where candidates are alike."""
GAIN_MIN = 0.002
"""Share of the squared error that a term must explain: below, it costs more table than it saves bytes."""
CHANCE = 12.0
"""A useless term explains about 1 / samples; the best of some hundred about this many times as much."""


def select(candidates: Sequence[np.ndarray], target: np.ndarray, *, terms_max: int) -> dict[int, float]:
    """Choose terms and their weights; the constant is free.

    Args:
        candidates: float[sample] each.
        target: float[sample].
        terms_max: how many may be chosen.

    Returns:
        Weight by the candidate's index.
    """
    samples = len(target)
    if not candidates or samples < 2:
        return {}
    columns = np.stack([*candidates, target]).astype(np.float32)
    columns -= columns.mean(axis=1, keepdims=True)
    products = (columns @ columns.T).astype(np.float64) / samples
    products[np.diag_indices(len(candidates))] += RIDGE * products[-1, -1]
    return _forward(products, terms_max, max(GAIN_MIN, CHANCE / samples))


def _forward(products: np.ndarray, terms_max: int, gain_min: float) -> dict[int, float]:
    swept = products.copy()
    count = len(swept) - 1
    chosen: list[int] = []
    while len(chosen) < min(terms_max, count) and swept[-1, -1] > 0:
        spread = np.maximum(np.diag(swept)[:-1], 1e-9)
        gains = swept[:-1, -1] ** 2 / spread
        gains[chosen] = 0
        best = int(np.argmax(gains))
        if gains[best] < gain_min * swept[-1, -1]:
            break
        _sweep(swept, best)
        chosen.append(best)
    return {index: float(swept[index, -1]) for index in chosen}


def _sweep(matrix: np.ndarray, index: int) -> None:
    pivot = matrix[index, index]
    row, column = matrix[index] / pivot, matrix[:, index].copy()
    matrix -= np.outer(column, row)
    matrix[index] = row
    matrix[:, index] = -column / pivot
    matrix[index, index] = 1 / pivot
