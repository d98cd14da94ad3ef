"""Write the first inputs of the fuzzer: small frames with small tables, one for each corner of the format.

    python tests/codec/fuzz/make_corpus.py

Most of an input is its body and not its table, for a changed table is refused at once and shows nothing of the decoder.
"""

from pathlib import Path

import numpy as np

from isthmus.codec.planes import Layout
from isthmus.codec.predictive import SpecifiedCoder, TensorCoding
from isthmus.codec.table import LEVELS, ChannelModel, Sum, Table, Tap

CORPUS = Path(__file__).parent.parent / "corpus"
EMPTY = Sum(0, ())
SPATIAL = Sum(3, (Tap(0, 0, 0, -1, 2500), Tap(0, 0, -1, 0, 2500), Tap(0, 0, -1, 1, -900)))
ROW = Sum(5, (Tap(0, 0, 0, -1, 4000), Tap(0, 0, 0, -2, -300)))
SHARP = Sum(40, (Tap(0, 0, 0, -1, 200), Tap(0, 0, -1, 0, 200)))
OVER_TIME = Sum(0, (Tap(1, 0, 0, 0, 3800), Tap(0, 0, 0, -1, 2000), Tap(1, 0, 0, -1, -2000)))
CHANGES = Sum(10, (Tap(0, 0, 0, -1, 150), Tap(1, 0, 0, -1, 250)))


def frequencies(bits: int, fractions: int, *, sharp: bool) -> np.ndarray:
    """Frequencies of an alphabet of `bits`, the same in every context: half or, if `sharp`, nearly all for a miss of 0."""
    alphabet = 1 << bits
    row = np.full(alphabet, 1 if sharp else 4096 // alphabet // 2)
    row[0] += 4096 - row.sum()
    return np.tile(row, (LEVELS * fractions, 1)).astype(np.int16)


def table(
    model: ChannelModel, bits: int, alphabet_bits: int = 0, *, fractions: int = 1, temporal: bool = False, sharp: bool = False
) -> Table:
    """A table of one channel, without escapes unless `alphabet_bits` are fewer than `bits`."""
    return Table(
        bits=bits,
        alphabet_bits=alphabet_bits or bits,
        fractions=fractions,
        temporal=temporal,
        channels=(model,),
        thresholds=tuple(range(20, 20 * LEVELS, 20)),
        frequencies=frequencies(alphabet_bits or bits, fractions, sharp=sharp),
    )


CASES = {
    "plain_one_bit": (Layout(1, 9, 30, 1), table(ChannelModel(0, EMPTY, EMPTY, EMPTY, EMPTY), 1)),
    "spatial_two_bits": (Layout(1, 12, 20, 2), table(ChannelModel(1, ROW, SPATIAL, EMPTY, SHARP), 2)),
    "sharp_two_bits": (Layout(1, 12, 20, 2), table(ChannelModel(1, ROW, SPATIAL, EMPTY, SHARP), 2, sharp=True)),
    "fractions_three_bits": (Layout(1, 8, 24, 3), table(ChannelModel(2, ROW, SPATIAL, EMPTY, SHARP), 3, fractions=2)),
    "escapes_of_eight_bits": (Layout(1, 8, 24, 8), table(ChannelModel(70, ROW, SPATIAL, EMPTY, SHARP), 8, 2, sharp=True)),
    "one_row": (Layout(1, 1, 200, 2), table(ChannelModel(3, ROW, EMPTY, EMPTY, EMPTY), 2)),
    "one_column": (Layout(1, 200, 1, 2), table(ChannelModel(3, EMPTY, SPATIAL, EMPTY, SHARP), 2)),
    "temporal_two_bits": (Layout(1, 10, 12, 2), table(ChannelModel(0, OVER_TIME, OVER_TIME, EMPTY, CHANGES), 2, temporal=True)),
}


def main() -> None:
    """Write one file for each case."""
    CORPUS.mkdir(exist_ok=True)
    for name, (layout, made) in CASES.items():
        random = np.random.default_rng(len(name))
        drawn = random.binomial((1 << layout.bits) - 1, 0.3, (2, layout.size)).astype(np.uint8)
        reference = drawn[1] if made.temporal else None
        body = SpecifiedCoder([TensorCoding(layout, made)]).encode(drawn[0], reference)
        words = made.words().astype("<i2")
        head = bytes(layout.shape) + len(words).to_bytes(2, "little")
        before = b"" if reference is None else reference.tobytes()
        (CORPUS / name).write_bytes(head + words.tobytes() + before + body)


if __name__ == "__main__":
    main()
