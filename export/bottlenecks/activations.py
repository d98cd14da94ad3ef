"""What crosses at a cut, seen on calibration pictures: one picture at a time, keeping a sample and never the whole."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from isthmus.contract.prepare import Preparation, prepare
from isthmus.errors import ExportError
from isthmus.export.bottlenecks import layout
from isthmus.export.bottlenecks.layout import BYTES, Layout
from isthmus.export.bottlenecks.quantizer import calibrate
from isthmus.export.cutting.split import Halves
from isthmus.export.graph.flow import name_of
from isthmus.export.graph.session import Session
from isthmus.export.samples import Samples

PICTURES_MAX = 128
"""More pictures move the chosen scales by less than a step of the search."""
PROBED = 4
"""Pictures on which the axis of the channel is chosen."""
CLEARLY = 0.8
"""Part of the squared error that another axis may have: the longer of two axes has more scales and wins by a little anyway."""
POSITIONS_MAX = 16_384
VALUES_MAX = 1 << 22
"""Limits of a sample: positions, and values in all of them; 16 MiB of float32 a tensor."""
MOMENT_POSITIONS_MAX = 1024
"""Positions of one picture that go into its covariance; neighbours are alike, and pictures differ more than they do."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Seen:
    """One tensor at the cut.

    Attributes:
        layout: of the tensor, the channel's axis chosen.
        values: float32[position, channel], drawn from all pictures alike.
        peak: float32[channel], largest magnitude of any value.
        lowest: smallest of all values.
        pictures: how many were looked at.
        moments: of the channels; None where they were not asked for.
    """

    layout: Layout
    values: np.ndarray
    peak: np.ndarray
    lowest: float
    pictures: int
    moments: "Moments | None"


class Moments:
    """Mean and covariance of channels, summed up part by part; the memory is that of one covariance."""

    def __init__(self, channels: int) -> None:
        self.count = 0
        self._shift = np.zeros(channels, dtype=np.float32)
        self._sum = np.zeros(channels, dtype=np.float64)
        self._products = np.zeros((channels, channels), dtype=np.float64)

    def add(self, rows: np.ndarray) -> None:
        """Take float32[position, channel]."""
        if not self.count:
            # Numbers near their mean lose fewer digits when squared.
            self._shift = rows.mean(axis=0)
        near = rows - self._shift
        self.count += len(rows)
        self._sum += near.sum(axis=0, dtype=np.float64)
        self._products += near.T @ near

    @property
    def mean(self) -> np.ndarray:
        """float64[channel]."""
        return self._shift + self._sum / max(1, self.count)

    @property
    def covariance(self) -> np.ndarray:
        """float64[channel, channel]."""
        centre = self._sum / max(1, self.count)
        covariance: np.ndarray = self._products / max(1, self.count) - np.outer(centre, centre)
        return covariance


def layouts(halves: Halves) -> list[Layout]:
    """The layouts of everything that crosses, with a first guess of the channel's axis.

    Raises:
        ExportError: what crosses is not only float and 8-bit tensors of fixed size.
    """
    if halves.auxiliary or len(halves.tail.graph.inputs) != len(halves.head.graph.outputs):
        crossing = ", ".join([*halves.auxiliary, *(name_of(value) for value in halves.tail.graph.inputs)])
        raise ExportError(f"this cut lets shapes or inputs cross beside the tensors ({crossing}); name another cut")
    given = {name_of(value): value for value in halves.tail.graph.inputs}
    return [layout.of(value, given[name_of(value)]) for value in halves.head.graph.outputs]


def see(halves: Halves, samples: Samples, preparation: Preparation, *, bits: int, with_moments: bool = False) -> list[Seen]:
    """Run the head on calibration pictures.

    Args:
        halves: an exact split.
        samples: pictures; up to 128 of them are used.
        preparation: how they become the input.
        bits: of a code; the channel's axis is the one along which codes of so many bits lose least.
        with_moments: gather mean and covariance of the channels too.

    Returns:
        One entry for each tensor, in the order of the head's outputs.

    Raises:
        ExportError: as for `layouts`, or a value is not finite.
    """
    guesses = layouts(halves)
    session = Session(halves.head)
    pictures = _few(samples.pictures)
    probed = [_run(session, picture, preparation) for picture in pictures[:PROBED]]
    chosen = [_with_best_channel(guess, [answer[guess.name] for answer in probed], bits) for guess in guesses]
    collectors = [_Collector(one, len(pictures), with_moments) for one in chosen]
    for index, picture in enumerate(pictures):
        answer = probed[index] if index < len(probed) else _run(session, picture, preparation)
        for collector in collectors:
            collector.add(answer[collector.layout.name])
    return [collector.seen() for collector in collectors]


def is_lossless(tensor: Layout, bits: int) -> bool:
    """Whether the tensor's own 8-bit values can cross as they are."""
    return tensor.data_type in BYTES and bits == tensor.data_type.bitwidth


def _few(pictures: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Up to so many pictures, spread evenly: folders come class by class."""
    count = min(PICTURES_MAX, len(pictures))
    return [pictures[index] for index in np.linspace(0, len(pictures) - 1, count).round().astype(int)]


def _run(session: Session, picture: np.ndarray, preparation: Preparation) -> dict[str, np.ndarray]:
    return session.run({session.inputs[0]: prepare(picture, preparation)})


def _with_best_channel(guess: Layout, arrays: list[np.ndarray], bits: int) -> Layout:
    """Tokens have their channels last: take the axis of clearly least squared error, else the one that is guessed."""
    if is_lossless(guess, bits):
        return guess
    first, *others = (guess.with_channel(place) for place in guess.channel_places())
    bearable = CLEARLY * _error(first, arrays, bits) if others else 0.0
    return next((other for other in others if _error(other, arrays, bits) < bearable), first)


def _error(tensor: Layout, arrays: list[np.ndarray], bits: int) -> float:
    rows = np.concatenate([_rows(tensor, array) for array in arrays])
    chosen = calibrate(rows, bits)
    return float(np.square(chosen.dequantize(chosen.quantize(rows)) - rows).mean())


def _rows(tensor: Layout, array: np.ndarray) -> np.ndarray:
    rows = tensor.rows(array)
    if not np.isfinite(rows).all():
        raise ExportError(f"tensor {tensor.name} at the cut has values that are not finite; cut elsewhere")
    return rows


class _Collector:
    """Gathers one tensor, picture by picture."""

    def __init__(self, tensor: Layout, pictures: int, with_moments: bool) -> None:
        self.layout = tensor
        self._moments = Moments(tensor.shape[0]) if with_moments else None
        channels = tensor.shape[0]
        self._each = max(1, min(POSITIONS_MAX, VALUES_MAX // channels) // pictures)
        self._random = np.random.default_rng(0)
        self._parts: list[np.ndarray] = []
        self._peak = np.zeros(channels, dtype=np.float32)
        self._lowest = np.inf

    def add(self, array: np.ndarray) -> None:
        """Take one picture's values."""
        rows = _rows(self.layout, array)[0].reshape(self.layout.shape[0], -1)
        self._lowest = min(self._lowest, float(rows.min()))
        self._peak = np.maximum(self._peak, np.abs(rows).max(axis=1))
        places = self._random.permutation(rows.shape[1])
        self._parts.append(np.ascontiguousarray(rows[:, places[: self._each]].T))
        if self._moments is not None:
            self._moments.add(np.ascontiguousarray(rows[:, places[:MOMENT_POSITIONS_MAX]].T))

    def seen(self) -> Seen:
        """What was gathered."""
        return Seen(
            layout=self.layout,
            values=np.concatenate(self._parts),
            peak=self._peak,
            lowest=self._lowest,
            pictures=len(self._parts),
            moments=self._moments,
        )
