"""Write `codec_streams.npz`: tables, frames and the bodies that they give. Made once; released streams are read for ever.

    python tests/golden/make_codec_streams.py

Every case is six arrays: layout int32[4] (channels, rows, columns, bits), table int16[words], symbols and reference uint8[...],
body uint8[...]; the reference is empty where the table is not temporal.
"""

from pathlib import Path

import numpy as np

from isthmus.codec.pairs import make_pairs
from isthmus.codec.planes import Layout
from isthmus.codec.predictive import SpecifiedCoder, TensorCoding
from isthmus.codec.training import Batch, train_table

LAYOUTS = {
    "bottleneck": Layout(4, 10, 9, 4),
    "one_bit": Layout(2, 6, 6, 1),
    "eight_bits": Layout(2, 7, 5, 8),
    "tokens": Layout(3, 1, 40, 6),
    "pooled": Layout(24, 1, 1, 5),
    "single": Layout(1, 1, 1, 3),
}
FRAMES = 300


def make_frames(layout: Layout) -> np.ndarray:
    """int32[frame, channel, row, column]: walks along rows and columns, channels alike."""
    random = np.random.default_rng(layout.size)
    field = random.normal(size=(FRAMES, *layout.shape))
    field = field.cumsum(axis=2).cumsum(axis=3) / np.sqrt(layout.rows * layout.columns)
    field[:, 1:] += field[:, :-1]
    return np.clip(np.rint((field * 0.2 + 0.5) * 2**layout.bits), 0, 2**layout.bits - 1).astype(np.int32)


def main() -> None:
    """Write every case, intra and temporal."""
    arrays = {}
    for name, layout in LAYOUTS.items():
        frames = make_frames(layout)
        pairs = make_pairs(frames, layout.bits)
        for mode, batch in (("intra", Batch(frames)), ("temporal", pairs)):
            table = train_table(Batch(batch.now[1:], None if batch.reference is None else batch.reference[1:]), layout.bits)
            symbols = batch.now[0].astype(np.uint8).ravel()
            reference = None if batch.reference is None else batch.reference[0].astype(np.uint8).ravel()
            body = SpecifiedCoder([TensorCoding(layout, table)]).encode(symbols, reference)
            case = {
                "layout": np.array([*layout.shape, layout.bits], np.int32),
                "table": table.words(),
                "symbols": symbols,
                "reference": np.empty(0, np.uint8) if reference is None else reference,
                "body": np.frombuffer(body, np.uint8),
            }
            arrays |= {f"{name}_{mode}.{part}": array for part, array in case.items()}
    np.savez_compressed(Path(__file__).with_name("codec_streams.npz"), **arrays)


if __name__ == "__main__":
    main()
