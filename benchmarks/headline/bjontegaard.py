"""Average difference in bytes of two curves at equal quality: the Bjontegaard delta rate, with piecewise cubics.

Bjontegaard (2001, VCEG-M33) fits one cubic to each curve; where points are many or uneven it swings, so that JCT-VC (Bossen
2013, JCTVC-L1100) took monotone piecewise cubics (Fritsch and Carlson 1980; slopes by Fritsch and Butland 1984) through the
points instead. So does this.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True, eq=False)
class Cubics:
    """A monotone curve through points: float[n] ascending places, values there, and slopes."""

    places: np.ndarray
    values: np.ndarray
    slopes: np.ndarray

    @classmethod
    def through(cls, places: Sequence[float], values: Sequence[float]) -> "Cubics":
        """The curve through two or more points.

        Raises:
            ValueError: fewer than two, or the places do not ascend.
        """
        x, y = np.asarray(places, float), np.asarray(values, float)
        if len(x) < 2 or (np.diff(x) <= 0).any():
            raise ValueError("a curve needs two points or more in ascending order")
        return cls(x, y, _slopes(x, y))

    def at(self, place: float) -> float:
        """Value at a place between the first and the last point."""
        piece, part, width = self._piece(place)
        left, right = self.values[piece : piece + 2]
        first, second = self.slopes[piece : piece + 2] * width
        rest = 1 - part
        value = left * (1 + 2 * part) * rest**2 + right * part**2 * (3 - 2 * part)
        return float(value + first * part * rest**2 - second * part**2 * rest)

    def integral(self, low: float, high: float) -> float:
        """From one place between the first and the last point to another."""
        return self._area_to(high) - self._area_to(low)

    def _area_to(self, place: float) -> float:
        last, part, width = self._piece(place)
        return sum(self._area(piece, 1.0) for piece in range(last)) + self._area(last, part, width)

    def _area(self, piece: int, part: float, width: float | None = None) -> float:
        """Of a piece up to `part` of its width."""
        width = float(self.places[piece + 1] - self.places[piece]) if width is None else width
        left, right = self.values[piece : piece + 2]
        first, second = self.slopes[piece : piece + 2] * width
        p2, p3, p4 = part**2, part**3, part**4
        area = left * (part - p3 + p4 / 2) + right * (p3 - p4 / 2)
        area += first * (p2 / 2 - 2 * p3 / 3 + p4 / 4) + second * (p4 / 4 - p3 / 3)
        return float(area * width)

    def _piece(self, place: float) -> tuple[int, float, float]:
        if not self.places[0] <= place <= self.places[-1]:
            raise ValueError(f"{place} lies outside {self.places[0]}..{self.places[-1]}")
        piece = min(int(np.searchsorted(self.places, place, side="right")) - 1, len(self.places) - 2)
        width = float(self.places[piece + 1] - self.places[piece])
        return piece, (place - float(self.places[piece])) / width, width


def _slopes(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    widths, rises = np.diff(x), np.diff(y) / np.diff(x)
    if len(rises) == 1:
        return np.repeat(rises, 2)
    inner = np.zeros(len(rises) - 1)
    monotone = rises[:-1] * rises[1:] > 0
    heavy, light = 2 * widths[1:] + widths[:-1], widths[1:] + 2 * widths[:-1]
    before, after = rises[:-1][monotone], rises[1:][monotone]
    inner[monotone] = (heavy + light)[monotone] / (heavy[monotone] / before + light[monotone] / after)
    return np.array([_end(widths[:2], rises[:2]), *inner, _end(widths[:-3:-1], rises[:-3:-1])])


def _end(widths: np.ndarray, rises: np.ndarray) -> float:
    """Slope at an end: of the parabola through three points, as far as that keeps the curve monotone."""
    slope = ((2 * widths[0] + widths[1]) * rises[0] - widths[0] * rises[1]) / (widths[0] + widths[1])
    if slope * rises[0] <= 0:
        return 0.0
    if rises[0] * rises[1] < 0 and abs(slope) > 3 * abs(rises[0]):
        return float(3 * rises[0])
    return float(slope)


def envelope(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The points (bytes, quality) that no other one beats, by ascending bytes and quality."""
    found: list[tuple[float, float]] = []
    for size, quality in sorted(points, key=lambda point: (point[0], -point[1])):
        if not found or quality > found[-1][1]:
            found.append((size, quality))
    return found


def bytes_at(points: Sequence[tuple[float, float]], quality: float) -> float | None:
    """Bytes at which the envelope of points reaches a quality; its least where all are better, None where none is."""
    upper = envelope(points)
    if not upper or upper[-1][1] < quality:
        return None
    if upper[0][1] >= quality:
        return upper[0][0]
    return float(np.exp(_by_quality(upper).at(quality)))


def delta_rate(anchor: Sequence[tuple[float, float]], other: Sequence[tuple[float, float]]) -> float | None:
    """By what part the bytes of `other` differ from those of `anchor` on average, where their qualities overlap; -0.5 is half.

    Args:
        anchor: (bytes, quality) of the curve that is compared with.
        other: of the one that is judged.

    Returns:
        None where an envelope has fewer than two points, or the two have no quality in common.
    """
    curves = [envelope(anchor), envelope(other)]
    if min(map(len, curves)) < 2:
        return None
    low, high = max(curve[0][1] for curve in curves), min(curve[-1][1] for curve in curves)
    if low >= high:
        return None
    first, second = (_by_quality(curve).integral(low, high) for curve in curves)
    return float(np.expm1((second - first) / (high - low)))


def _by_quality(points: Sequence[tuple[float, float]]) -> Cubics:
    return Cubics.through([quality for _, quality in points], [float(np.log(size)) for size, _ in points])
