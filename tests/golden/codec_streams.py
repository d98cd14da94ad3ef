"""Decode and encode the golden streams with the C core, or with its specification where that is not built.

Run as a program it needs neither pytest nor the rest of the tests: it is what `make test-arm64` runs under another processor.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from isthmus.codec.planes import Layout
from isthmus.codec.predictive import IS_FAST, Coder, TensorCoding, coder
from isthmus.codec.table import read


@dataclass(frozen=True, slots=True)
class Stream:
    """One frame with its table and the body that it gives."""

    name: str
    coding: TensorCoding
    symbols: np.ndarray
    reference: np.ndarray | None
    body: bytes

    def check(self, made: Coder) -> None:
        """Raise AssertionError unless both directions give what they gave when the stream was made."""
        assert made.encode(self.symbols, self.reference) == self.body, f"{self.name} encodes to other bytes"
        found = made.decode(memoryview(self.body), self.reference)
        assert found.tolist() == self.symbols.tolist(), f"{self.name} decodes to other symbols"


def streams() -> Iterator[Stream]:
    """All golden streams."""
    with np.load(Path(__file__).with_name("codec_streams.npz"), allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    for name in sorted({name.partition(".")[0] for name in arrays}):
        layout, table, symbols, reference, body = (
            arrays[f"{name}.{part}"] for part in ("layout", "table", "symbols", "reference", "body")
        )
        coding = TensorCoding(Layout(*layout.tolist()), read(table))
        yield Stream(name, coding, symbols, reference if reference.size else None, body.tobytes())


if __name__ == "__main__":
    held = list(streams())
    for stream in held:
        stream.check(coder([stream.coding]))
    print(f"{len(held)} golden streams, both directions, {'C core' if IS_FAST else 'plain Python'}")
