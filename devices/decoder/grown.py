"""Caches that a network takes and gives back longer (networks that were traced, whose attention joins past and present).

Every call copies keys and values of all positions once, and sequences go through one by one.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from isthmus.devices.decoder.cache import Cache, GrownCache
from isthmus.devices.decoder.caches import Call
from isthmus.devices.decoder.slots import KeyValueShape, position_bytes
from isthmus.devices.decoder.step import Step
from isthmus.devices.runtime import Network


class GrownCaches:
    """Of the sequences that go through one network.

    Args:
        network: loaded.
        shapes: of its layers.
        pasts: names of the keys and values that it takes, of the layers in turn.
        presents: of those that it gives.
    """

    def __init__(self, network: Network, shapes: Sequence[KeyValueShape], pasts: Sequence[str], presents: Sequence[str]) -> None:
        self._network = network
        self._pasts, self._presents = pasts, presents
        self._empty = [np.zeros((1, shape.heads, 0, shape.width), np.float32) for shape in shapes for _ in ("key", "value")]
        self._position_bytes = position_bytes(shapes)

    def size_bytes(self, positions: int) -> int:
        """What a cache of so many positions may grow to."""
        return self._position_bytes * positions

    def new(self, positions: int) -> Cache:
        """An empty cache that holds so many positions at most."""
        return GrownCache(positions=positions, size_bytes=self.size_bytes(positions))

    def batches(self, steps: Sequence[Step]) -> Iterator[list[Step]]:
        """Every step for itself."""
        return ([step] for step in steps)

    def run(self, call: Call) -> np.ndarray:
        """Run the network on one cache."""
        [cache], [pos] = call.caches, call.positions
        assert isinstance(cache, GrownCache), "a cache of another network"
        past = cache.held(pos) or self._empty
        given = self._network.run({**call.feeds, **dict(zip(self._pasts, past, strict=True))})
        cache.hold([given[name] for name in self._presents])
        return given[call.gives]
