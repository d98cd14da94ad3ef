import numpy as np
import pytest

from isthmus.codec.hidden.calibration import Calibration


@pytest.fixture
def states() -> np.ndarray:
    """Rows as language models have them: two channels a hundred times larger than the rest, and a mean that is not 0."""
    rows = np.random.default_rng(3).normal(0.3, 1.0, (40, 192)).astype(np.float32)
    rows[:, [5, 77]] = rows[:, [5, 77]] * 4 + 100
    return rows


@pytest.fixture
def calibration(states: np.ndarray) -> Calibration:
    return Calibration.of_rows(states[:20])
