"""The delta rate against another implementation of the cubics, and against what can be said without one."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.interpolate import PchipInterpolator

# Two encodings of one film by x265, kbit/s and dB, as the test data of several public tools has them.
ANCHOR = [(9487.76, 40.037), (4593.60, 38.615), (2486.44, 36.845), (1358.24, 34.851)]
OTHER = [(9787.80, 40.121), (4469.00, 38.651), (2451.52, 36.970), (1356.24, 34.987)]


@pytest.fixture
def bjontegaard(package):
    return package("benchmarks.headline.bjontegaard")


@given(
    steps=st.lists(st.integers(1, 30), min_size=2, max_size=7),
    values=st.lists(st.integers(-50, 50), min_size=7, max_size=7),
    part=st.floats(0, 1),
)
def test_curves_are_those_of_scipy(steps, values, part) -> None:
    from benchmarks.headline.bjontegaard import Cubics

    x, y = np.cumsum(steps) / 10, np.array(values[: len(steps)]) / 10
    ours, theirs = Cubics.through(x, y), PchipInterpolator(x, y)
    place = min(x[0] + part * (x[-1] - x[0]), x[-1])
    assert ours.at(place) == pytest.approx(float(theirs(place)), abs=1e-9)
    assert ours.integral(x[0], place) == pytest.approx(float(theirs.integrate(x[0], place)), abs=1e-9)


def test_delta_rate_of_two_encodings(bjontegaard) -> None:
    low, high = 34.987, 40.037
    curves = [PchipInterpolator(*np.array([(quality, np.log(rate)) for rate, quality in one[::-1]]).T) for one in (ANCHOR, OTHER)]
    wanted = np.expm1((curves[1].integrate(low, high) - curves[0].integrate(low, high)) / (high - low))
    assert bjontegaard.delta_rate(ANCHOR, OTHER) == pytest.approx(float(wanted))
    assert wanted == pytest.approx(-0.0442, abs=1e-4)


def test_half_the_bytes_are_minus_a_half(bjontegaard) -> None:
    assert bjontegaard.delta_rate(ANCHOR, [(rate / 2, quality) for rate, quality in ANCHOR]) == pytest.approx(-0.5)


def test_points_that_another_beats_do_not_count(bjontegaard) -> None:
    worse = [*ANCHOR, (5000.0, 30.0), (10_000.0, 39.0)]
    assert bjontegaard.delta_rate(worse, OTHER) == bjontegaard.delta_rate(ANCHOR, OTHER)


@pytest.mark.parametrize("other", [[(100.0, 41.0), (200.0, 42.0)], [(100.0, 38.0)], []])
def test_curves_without_common_quality_have_no_delta(bjontegaard, other) -> None:
    assert bjontegaard.delta_rate(ANCHOR, other) is None


def test_bytes_at_a_quality(bjontegaard) -> None:
    points = [(100.0, 0.8), (400.0, 0.9)]
    assert bjontegaard.bytes_at(points, 0.85) == pytest.approx(200)
    assert bjontegaard.bytes_at(points, 0.7) == 100
    assert bjontegaard.bytes_at(points, 0.95) is None
