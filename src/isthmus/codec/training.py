"""Learn tables from calibration frames: weights by least squares, levels and frequencies by counting.

Floating point is used here and nowhere else in the codec: what comes out are integers, and the bundle carries them.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from isthmus.codec import analysis, histogram
from isthmus.codec.analysis import Batch, Cells, Planes
from isthmus.codec.pairs import make_pairs
from isthmus.codec.payload import Mode
from isthmus.codec.planes import Layout, layout
from isthmus.codec.predictor import ONE_BITS
from isthmus.codec.regression import select
from isthmus.codec.symbols import from_codes
from isthmus.codec.table import CHANNELS_MAX, ERROR_WEIGHT_MAX, FRACTIONS, ChannelModel, Sum, Table, Tap
from isthmus.codec.tables import CODES_MAX, CodecTables, Key
from isthmus.contract.boundary import Boundary, OperatingPoint, point_size
from isthmus.errors import ExportError

Frame = Sequence[np.ndarray]
"""One int8 or uint8 array for each boundary tensor."""

SYMBOLS_MAX = 4_000_000
"""Symbols of one tensor that are looked at; more frames make no better tables."""
SAMPLES_MAX = 40_000
"""Samples of one regression."""
COUNTED_MAX = 600_000
"""Misses that levels and frequencies are counted from."""
RELATED_MAX = 12
"""Earlier channels whose neighbourhoods a channel may be predicted from: those that explain most of it."""
VALUE_TAPS, ERROR_TAPS = (4, 20, 1200), (3, 8, 500)
"""Fewest and most taps of one sum, and taps that a whole table has room for: about 8 kB at a dozen channels."""

ABOVE = [(-1, column) for column in (0, -1, 1, 2, -2)] + [(-2, column) for column in (0, -1, 1)]
LEFT = [(0, -1), (0, -2)]
AROUND = [(0, 0)] + [(row, column) for row in (-1, 0, 1) for column in (-1, 0, 1) if (row, column) != (0, 0)]
CROSS = [(0, 0), (0, -1), (0, 1), (-1, 0), (1, 0)]

Place = tuple[int, int, int, int]
"""Plane, channel, row, column of a candidate tap."""


def train_tables(
    codes: Sequence[Frame],
    boundary: Boundary,
    points: Sequence[OperatingPoint],
    *,
    pairs: Sequence[tuple[Frame, Frame]] | None = None,
) -> CodecTables:
    """Train tables for every operating point.

    Args:
        codes: calibration frames, some hundred if possible; never those that results are reported on.
        boundary: what crosses.
        points: the bundle's operating points.
        pairs: for `temporal`, frames and the ones a moment before, of cameras as they will be used; made up from `codes` if None
            (see `pairs`).

    Returns:
        Tables; none for a point with a tensor of more than 1024 channels, or of more than 4 million codes.

    Raises:
        ExportError: there is no frame.
        ContractMismatch: a frame is not of the boundary, or a point does not fit it.
    """
    if not codes:
        raise ExportError("codec tables need at least one calibration frame, got none")
    tables: dict[Key, tuple[Table, ...]] = {}
    for index, point in enumerate(points):
        layouts = [layout(tensor, channels) for tensor, channels in zip(boundary.tensors, point.channels, strict=True)]
        if point_size(boundary, point) > CODES_MAX or any(one.channels > CHANNELS_MAX for one in layouts):
            continue
        stills = [from_codes(frame, boundary, point) for frame in codes]
        tables[index, Mode.INTRA] = tuple(train_table(Batch(now), one.bits) for now, one in _batches(stills, layouts))
        if pairs is None:
            temporal = [make_pairs(now, one.bits) for now, one in _batches(stills, layouts)]
        else:
            ends = [[from_codes(pair[end], boundary, point) for pair in pairs] for end in (0, 1)]
            both = zip(*(_batches(end, layouts) for end in ends), strict=True)
            temporal = [Batch(now, reference) for (now, _), (reference, _) in both]
        tables[index, Mode.TEMPORAL] = tuple(train_table(batch, one.bits) for batch, one in zip(temporal, layouts, strict=True))
    return CodecTables(tables)


def _batches(frames: Sequence[np.ndarray], layouts: Sequence[Layout]) -> list[tuple[Cells, Layout]]:
    """Symbols of each tensor, int32[frame, channel, row, column], of frames evenly chosen."""
    batches = []
    start = 0
    for one in layouts:
        count = min(len(frames), max(1, SYMBOLS_MAX // one.size))
        chosen = [frames[index * len(frames) // count] for index in range(count)]
        cells = np.stack([frame[start : start + one.size].reshape(one.shape) for frame in chosen])
        batches.append((cells.astype(np.int32), one))
        start += one.size
    return batches


@dataclass(frozen=True, slots=True)
class _Fit:
    """One kind of sums to learn: what they see, what they shall give, and how that is written in integers."""

    planes: list[Planes]
    target: np.ndarray
    error: bool
    taps_max: int
    weight_unit: int
    """Weight of 1 in a table."""
    offset_unit: float
    """Offset that equals 1 in the target."""
    weight_max: int


def train_table(batch: Batch, bits: int) -> Table:
    """Train the table of one tensor; temporal if the batch has references."""
    channels, rows = batch.now.shape[1:3]
    starts = np.clip(np.rint(batch.now.mean(axis=(0, 2, 3))), 0, (1 << bits) - 1).astype(np.int64)
    fit = _Fit(
        planes=analysis.value_planes(batch, starts),
        target=batch.now,
        error=False,
        taps_max=_taps_max(VALUE_TAPS, channels),
        weight_unit=1 << ONE_BITS,
        offset_unit=64,
        weight_max=(1 << 15) - 1,
    )
    value_sums = [_fit_channel(fit, channel, rows) for channel in range(channels)]
    value = np.stack([analysis.add(fit.planes, sums, c, error=False) for c, sums in enumerate(value_sums)], axis=1)
    value = analysis.clamp_value(value, bits)
    fit = _Fit(
        planes=analysis.error_planes(batch, value),
        target=analysis.errors(batch.now, value),
        error=True,
        taps_max=_taps_max(ERROR_TAPS, channels),
        weight_unit=256,
        offset_unit=2,
        weight_max=ERROR_WEIGHT_MAX,
    )
    error_sums = [_fit_channel(fit, channel, rows) for channel in range(channels)]
    expected = np.stack([analysis.add(fit.planes, sums, c, error=True) for c, sums in enumerate(error_sums)], axis=1)
    expected = analysis.clamp_expected(expected)
    miss = _thin(analysis.misses(batch.now, value, bits))
    thresholds = histogram.choose_thresholds(_thin(expected), miss, bits)
    level = np.searchsorted(thresholds, _thin(expected), side="right").astype(np.int32)
    parts = {fractions: analysis.fractions_of(_thin(value), fractions) for fractions in FRACTIONS}
    fractions, frequencies = histogram.choose_frequencies(level, parts, miss, bits)
    return Table(
        bits=bits,
        alphabet_bits=frequencies.shape[1].bit_length() - 1,
        fractions=fractions,
        temporal=batch.reference is not None,
        channels=tuple(ChannelModel(int(s), *v, *e) for s, v, e in zip(starts, value_sums, error_sums, strict=True)),
        thresholds=thresholds,
        frequencies=frequencies,
    )


def _thin(cells: Cells) -> Cells:
    return cells.ravel()[:: _step(cells, COUNTED_MAX)]


def _taps_max(taps: tuple[int, int, int], channels: int) -> int:
    fewest, most, room = taps
    return min(max(room // (2 * channels), fewest), most)


def _fit_channel(fit: _Fit, channel: int, rows: int) -> tuple[Sum, Sum]:
    """The sums of one channel: for its first row, and for the others."""
    places = _places(fit, channel)
    first = [place for place in places if not (_is_growing(fit, place, channel) and place[2])]
    below = _fit_sum(fit, channel, places, slice(1, None)) if rows > 1 else Sum(0, ())
    return _fit_sum(fit, channel, first, slice(0, 1)), below


def _is_growing(fit: _Fit, place: Place, channel: int) -> bool:
    return place[1] == channel and (fit.error or place[0] == 0)


def _places(fit: _Fit, channel: int) -> list[Place]:
    """Candidates for the taps of a channel."""
    planes = range(len(fit.planes))
    own = [(plane, channel, *away) for plane in planes for away in LEFT + ABOVE if fit.error or plane == 0]
    before = [(plane, channel, *away) for plane in planes for away in AROUND if not (fit.error or plane == 0)]
    around = [(0, 0)] if fit.error else AROUND
    for plane in planes:
        near = around if plane == 0 else around[:5]
        before += [(plane, other, *away) for other in _related(fit, plane, channel) for away in near]
    return own + before


def _related(fit: _Fit, plane: int, channel: int) -> list[int]:
    """Earlier channels that go along with this one most."""
    if channel <= RELATED_MAX:
        return list(range(channel))
    target = _sample(fit.target[:, channel])
    others = np.stack([_sample(fit.planes[plane].away(other, 0, 0)) for other in range(channel)]).astype(np.float32)
    others -= others.mean(axis=1, keepdims=True)
    likeness = np.abs(others @ (target - target.mean())) / np.sqrt((others**2).sum(axis=1) + 1e-6)
    return sorted(np.argsort(-likeness, kind="stable")[:RELATED_MAX].tolist())


def _sample(cells: np.ndarray) -> np.ndarray:
    return cells.ravel()[:: _step(cells, SAMPLES_MAX)].astype(np.float32)


def _step(cells: np.ndarray, most: int) -> int:
    """Every how many-th cell is looked at; no factor is that of a frame, so that all its places come up alike."""
    step = max(1, cells.size // most)
    while math.gcd(step, math.prod(cells.shape[1:])) > 1:
        step += 1
    return step


def _fit_sum(fit: _Fit, channel: int, places: Sequence[Place], rows: slice) -> Sum:
    def seen(place: Place) -> np.ndarray:
        plane, other, row, column = place
        cells = fit.planes[plane].away(other, row, column, growing=_is_growing(fit, place, channel))
        return _sample(cells[:, rows])

    target = _sample(fit.target[:, channel, rows])
    weights = select([seen(place) for place in places], target, terms_max=fit.taps_max)
    taps = []
    offset = float(target.mean())
    for index, weight in sorted(weights.items()):
        whole = round(min(max(weight * fit.weight_unit, -fit.weight_max), fit.weight_max))
        if whole:
            taps.append(Tap(*places[index], whole))
            offset -= whole / fit.weight_unit * float(seen(places[index]).mean())
    return Sum(round(min(max(offset * fit.offset_unit, -32768), 32767)), tuple(taps))
