"""What a decoder asks of the caches of its network, whatever kind they are of."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from isthmus.devices.decoder.cache import Cache
from isthmus.devices.decoder.step import Step


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Call:
    """One call of the network.

    Attributes:
        feeds: contiguous, by name, with a batch axis where they have any.
        caches: of the sequences, neighbours in their order.
        positions: of the first row of each.
        rows: of each sequence.
        gives: name of what the network gives beside its caches.
        shape: of that.
    """

    feeds: Mapping[str, np.ndarray]
    caches: Sequence[Cache]
    positions: Sequence[int]
    rows: int
    gives: str
    shape: tuple[int, ...]


class Caches(Protocol):
    """Of the sequences that go through one network."""

    def size_bytes(self, positions: int) -> int:
        """What a cache of so many positions may grow to."""
        ...

    def new(self, positions: int) -> Cache:
        """An empty cache that holds so many positions at least."""
        ...

    def batches(self, steps: Sequence[Step]) -> Iterator[list[Step]]:
        """Steps, in groups that can go through in one call."""
        ...

    def run(self, call: Call) -> np.ndarray:
        """Run the network; its caches hold the rows of the call afterwards."""
        ...
