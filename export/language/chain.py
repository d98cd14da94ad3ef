"""The networks of a split model one behind the other, in this process."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from isthmus.contract.language import Weights
from isthmus.devices.decoder.decoder import Decoder
from isthmus.devices.runtime import Network

OnDisk = tuple[Path, Weights]
"""The file of a network, and the precision of its matrices."""


class Chain:
    """One sequence at a time.

    Args:
        networks: in order. Those in float32 leave their weights in their files, so that they may be larger than memory;
            quantised ones would multiply slowly so.
        positions: longest sequence.
    """

    def __init__(self, networks: Sequence[OnDisk], *, positions: int) -> None:
        loaded = [Network.load(path, prepacked=weights != "float32") for path, weights in networks]
        self._networks = [Decoder(network) for network in loaded]
        self._caches = [network.new_cache(positions) for network in self._networks]

    @property
    def length(self) -> int:
        """Positions that went through."""
        return self._caches[0].length

    def restart(self) -> None:
        """Begin another sequence."""
        for cache in self._caches:
            cache.truncate(0)

    def run(self, ids: np.ndarray, *, keep: int | None = None) -> np.ndarray:
        """Go on with the sequence.

        Args:
            ids: int64[row].
            keep: how many of the last rows get logits; None: all.

        Returns:
            float32[row, vocabulary].
        """
        return self.stages(ids, keep=keep)[-1]

    def stages(self, ids: np.ndarray, *, keep: int | None = None) -> list[np.ndarray]:
        """As `run`; what every network gives, the last ones the logits."""
        pos, rows, given = self.length, ids, []
        for network, cache in zip(self._networks, self._caches, strict=True):
            rows = network.run(rows, cache, pos, keep=keep)
            given.append(rows)
        return given

    def greedy(self, ids: np.ndarray, steps: int) -> np.ndarray:
        """Begin another sequence and go on with it greedily, a row at a time; int64[steps] of the tokens found."""
        self.restart()
        found = [int(self.run(ids, keep=1)[-1].argmax())]
        while len(found) < steps:
            found.append(int(self.run(np.array(found[-1:]))[-1].argmax()))
        return np.array(found)
