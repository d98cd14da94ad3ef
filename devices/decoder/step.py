"""One row of one sequence, of several that go through a network together."""

from dataclasses import dataclass

import numpy as np

from isthmus.devices.decoder.cache import Cache


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """One row of one sequence, for `Decoder.run_together`.

    Attributes:
        row: int64[1], or float32[1, width].
        cache: of the sequence.
        pos: of the row.
    """

    row: np.ndarray
    cache: Cache
    pos: int
