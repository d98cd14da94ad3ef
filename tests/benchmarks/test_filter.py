"""The neural filter's benchmark, on drawn film and a tiny bundle."""

import numpy as np
import pytest

from isthmus.export.filtering import training
from isthmus.export.filtering.footage import Film


@pytest.fixture
def benchmark(program, monkeypatch):
    module = program("filter")
    monkeypatch.setattr(module.making.FilterSettings.__init__, "__kwdefaults__", _with_few_steps(module.making.FilterSettings))
    return module


def _with_few_steps(settings):
    assert settings().steps == training.STEPS
    return {**settings.__init__.__kwdefaults__, "steps": 60}


@pytest.fixture
def film():
    """Six events in which the codes are high; frames of the second half of each pause do not pass the gate."""
    random = np.random.default_rng(0)
    seen = np.arange(360) % 60 < 20
    codes = random.integers(-4, 3, (360, 4, 4, 4)) + 5 * seen[:, None, None, None]
    drawn = Film(name="drawn", fps=10.0, codes=(codes.astype(np.int8),), seen=seen, known=np.ones(360, bool))
    return drawn, np.arange(360) % 60 < 40


def test_every_block_is_the_test_once(benchmark, tiny_bundle, film):
    task = benchmark.Task(name="drawn", file="drawn", pause_s=0.5)
    rows = benchmark.blocks(task, *film, tiny_bundle)
    assert [row["block"] for row in rows] == ["3 of 3", "2 of 3", "1 of 3"]
    together = benchmark.pooled("drawn", rows)
    assert (together["events"], together["passed"]) == (6, 6)
    assert together["empty_by_filter"] > 0.9 * together["empty"]
    assert 0.3 < together["empty_by_gate"] / together["empty"] < 0.6
    assert together["empty_by_both"] >= max(together["empty_by_filter"], together["empty_by_gate"])
    assert benchmark.page([*rows, together]).count("\n") == 5


def test_film_that_cannot_be_parted_is_a_row_that_says_so(benchmark, tiny_bundle, film):
    drawn, opened = film
    drawn.seen[:] = True
    (row,) = benchmark.blocks(benchmark.Task(name="drawn", file="drawn"), drawn, opened, tiny_bundle)
    assert "0 empty frames" in row["refused"]
