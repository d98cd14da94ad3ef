"""A context-mixing coder, offline: what a coder could reach that need not be fast, small or fixed beforehand.

Every bit of every symbol, most significant first, is predicted by adaptive counts under some 15 contexts: neighbours in the
plane, earlier channels, the codec's own predicted value and expected error, the reference frame. The predictions are mixed in
the logistic domain by weights that learn while coding (Mahoney 2005, PAQ7). Two mixers with weights chosen by different things
are averaged.

It goes through the calibration frames first and through the frames that count afterwards, all frames of a group side by side:
position by position it codes one bit of every frame, then learns from them all. A decoder can do the same, so the length is
honest; but no device could: it learns from the very frames it is measured on, and from all of them at once. What it gives when
it learns from the calibration frames alone, as the codec does, is told beside it. Only lengths are computed.
"""

from dataclasses import dataclass

import numpy as np

from isthmus.codec import analysis
from isthmus.codec.analysis import Batch, Planes
from isthmus.codec.table import Table

SLOTS_BITS = 18
"""Contexts of one kind are hashed to so many bits, the bits of the symbol so far included."""
GROUP = 300
"""Frames side by side."""
LEARNING_RATE, LEARNING_RATE_LAST = 0.001, 0.0003
LEARNED_BITS = 20_000
"""Steps until the learning rate has fallen to its last value. Rates were chosen on training photos of two bottlenecks."""
PRIOR = 0.25
STRETCH_MAX = 10.0


def _hash(*parts: np.ndarray | int) -> np.ndarray:
    """uint64, the same for the same parts."""
    mixed = np.full(1, 0x9E3779B97F4A7C15, np.uint64)
    for part in parts:
        added = np.atleast_1d(np.asarray(part)).astype(np.int64).astype(np.uint64) + np.uint64(0x7F4A7C15)
        mixed = (mixed ^ added) * np.uint64(0xD6E8FEB86659FD93)
        mixed = mixed ^ (mixed >> np.uint64(29))
    return mixed


def contexts(batch: Batch, table: Table) -> tuple[np.ndarray, np.ndarray]:
    """Hashes uint32[kind, frame, position] of what symbols are predicted from, and levels uint8[frame, position]."""
    told = analysis.analyse(batch, table)
    now = Planes(batch.now, np.array([channel.start for channel in table.channels]))
    before = None if batch.reference is None else Planes(batch.reference)
    found, levels = [], []
    for channel in range(batch.now.shape[1]):
        one = _channel_contexts(now, before, told, channel, table.fractions)
        found.append(one)
        levels.append(told.context[:, channel] // table.fractions)
    count = len(batch.now)
    kinds = [np.stack([one[kind].reshape(count, -1) for one in found], axis=1) for kind in range(len(found[0]))]
    hashed = np.stack([kind.reshape(count, -1) >> np.uint64(64 - SLOTS_BITS) for kind in kinds])
    return hashed.astype(np.uint32), np.stack(levels, axis=1).reshape(count, -1).astype(np.uint8)


def _channel_contexts(
    now: Planes, before: Planes | None, told: analysis.Analysis, channel: int, fractions: int
) -> list[np.ndarray]:
    def own(row: int, column: int) -> np.ndarray:
        cells = now.away(channel, row, column, growing=True)
        if row < 0:
            # Above the first row planes repeat it, and a decoder does not know it yet.
            cells = cells.copy()
            cells[:, 0] = 0
        return cells

    def other(back: int, row: int = 0, column: int = 0) -> np.ndarray:
        return now.away(max(channel - back, 0), row, column) if channel >= back else np.zeros_like(now.away(0, 0, 0))

    value, expected = told.value[:, channel], told.expected[:, channel]
    level = told.context[:, channel] // fractions
    west, north = own(0, -1), own(-1, 0)
    predicted = value >> 10
    kinds = [
        (predicted, level),
        (value >> 9, level // 4),
        (value >> 11, np.minimum(expected >> 4, 63)),
        (predicted, channel),
        (value >> 11, west, north),
        (value >> 11, other(1), level // 2),
        (value >> 11, other(1), other(2)),
        (channel, west, north),
        (channel, west, north, own(-1, 1), own(-1, -1)),
        (channel, west, own(0, -2)),
        (channel, north, own(-2, 0)),
        (channel, other(1), other(2)),
        (channel, other(1), west, north),
        (channel, other(1, 0, 1), other(1, 1, 0), other(1)),
        (value >> 12, level // 4, other(3), other(1)),
    ]
    if before is not None:
        here = before.away(channel, 0, 0)
        west_change = west - before.away(channel, 0, -1)
        north_change = north - before.away(channel, -1, 0)
        kinds += [
            (channel, here, west_change, north_change),
            (here, value >> 11, level),
            (channel, here, other(1) - (before.away(channel - 1, 0, 0) if channel else 0), level // 2),
            (channel, here, before.away(channel, 0, 1), before.away(channel, 1, 0)),
        ]
    return [_hash(index, *np.broadcast_arrays(*kind)) for index, kind in enumerate(kinds)]


@dataclass(slots=True)
class _Mixer:
    """Weights float64[set, input]; one set is chosen for each bit."""

    weights: np.ndarray

    def mix(self, chosen: np.ndarray, inputs: np.ndarray) -> np.ndarray:
        """Logistic inputs float64[frame, input] -> float64[frame]."""
        mixed: np.ndarray = np.einsum("fi,fi->f", self.weights[chosen], inputs)
        return mixed

    def learn(self, chosen: np.ndarray, inputs: np.ndarray, miss: np.ndarray, rate: float) -> None:
        np.add.at(self.weights, chosen, rate * miss[:, np.newaxis] * inputs)


class Model:
    """Counts and weights that learn while they code.

    Args:
        kinds: of contexts.
        bits: of a symbol, 1 to 4.
        channels: of a frame.
    """

    def __init__(self, kinds: int, bits: int, channels: int) -> None:
        self.bits = bits
        self.slots = 1 << (SLOTS_BITS + bits)
        self.ones = np.full(kinds * self.slots, PRIOR, np.float32)
        self.total = np.full(kinds * self.slots, 2 * PRIOR, np.float32)
        self.bases = (np.arange(kinds, dtype=np.int64) * self.slots)[:, np.newaxis]
        inputs = 2 * kinds + 1
        start = np.full(inputs, 0.6 / kinds)
        start[kinds:] = 0.0
        nodes = 1 << bits
        self.mixers = [_Mixer(np.tile(start, (nodes * sets, 1))) for sets in (16, channels)]
        self.step = 0

    def code(self, symbols: np.ndarray, hashes: np.ndarray, levels: np.ndarray, *, learns: bool = True) -> float:
        """What symbols uint8[frame, position] cost in bits; by default the model learns from them on the way."""
        cost = 0.0
        positions = symbols.shape[1]
        channels = self.mixers[1].weights.shape[0] >> self.bits
        for position in range(positions):
            places = hashes[:, :, position].astype(np.int64) << self.bits
            symbol = symbols[:, position].astype(np.int64)
            channel = position * channels // positions
            node = np.ones(len(symbol), np.int64)
            for shift in range(self.bits - 1, -1, -1):
                bit = symbol >> shift & 1
                sets = (node * 16 + levels[:, position], node * channels + channel)
                cost += self._bit(self.bases + places + node, sets, bit, learns=learns)
                node = node * 2 + bit
        return cost

    def _bit(self, places: np.ndarray, sets: tuple[np.ndarray, np.ndarray], bit: np.ndarray, *, learns: bool) -> float:
        total = self.total[places]
        share = np.clip(self.ones[places] / total, 1e-4, 1 - 1e-4).astype(np.float64)
        logit = np.log(share / (1 - share))
        trust = total / (total + 3.0)
        inputs = np.concatenate([logit * trust, (share - 0.5) * 4 * trust, np.full((1, len(bit)), 0.3)]).T
        mixed = [mixer.mix(chosen, inputs) for mixer, chosen in zip(self.mixers, sets, strict=True)]
        outcome = _squash(sum(mixed) / len(mixed))
        if learns:
            self._learn(places, sets, bit, inputs, mixed)
        return float(-np.log2(np.where(bit == 1, outcome, 1 - outcome)).sum())

    def _learn(
        self,
        places: np.ndarray,
        sets: tuple[np.ndarray, np.ndarray],
        bit: np.ndarray,
        inputs: np.ndarray,
        mixed: list[np.ndarray],
    ) -> None:
        rate = max(LEARNING_RATE * (1 - self.step / LEARNED_BITS), LEARNING_RATE_LAST)
        for mixer, chosen, one in zip(self.mixers, sets, mixed, strict=True):
            mixer.learn(chosen, inputs, bit - _squash(one), rate)
        np.add.at(self.total, places, np.float32(1))
        np.add.at(self.ones, places, np.broadcast_to(bit.astype(np.float32), places.shape))
        self.step += 1


def _squash(value: np.ndarray) -> np.ndarray:
    squashed: np.ndarray = 1 / (1 + np.exp(-np.clip(value, -STRETCH_MAX, STRETCH_MAX)))
    return squashed


def bytes_of(train: Batch, test: Batch, table: Table) -> tuple[float, float]:
    """Bytes of a frame of `test` after learning from `train`: still learning, and not; up to 4 bits a symbol."""
    model: Model | None = None
    for part in _groups(train):
        told = contexts(part, table)
        model = model or Model(len(told[0]), table.bits, part.now.shape[1])
        model.code(_flat(part), *told)
    if model is None:
        raise ValueError("there are no frames to learn from")
    bits = np.zeros(2)
    for part in _groups(test):
        told = contexts(part, table)
        fixed = model.code(_flat(part), *told, learns=False)
        bits += (model.code(_flat(part), *told), fixed)
    learning, fixed = bits / 8 / len(test.now)
    return float(learning), float(fixed)


def _flat(batch: Batch) -> np.ndarray:
    return batch.now.reshape(len(batch.now), -1).astype(np.uint8)


def _groups(batch: Batch) -> list[Batch]:
    starts = range(0, len(batch.now), GROUP)
    reference = batch.reference
    return [Batch(batch.now[at : at + GROUP], None if reference is None else reference[at : at + GROUP]) for at in starts]
