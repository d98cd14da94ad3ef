"""What the networks of a bundle draw behind a text when all of them are in one place: nothing is sent, nothing can be lost."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from isthmus.bench.language.talk import Talk
from isthmus.codec.hidden.calibration import of_bundle
from isthmus.codec.hidden.codec import HiddenCodec
from isthmus.codec.payload import Mode
from isthmus.contract.bundle import LanguageBundle
from isthmus.contract.language import HEAD, LAST, LOCAL, TAIL
from isthmus.devices.decoder.cache import Cache
from isthmus.devices.decoder.decoder import Decoder
from isthmus.devices.sampler import Sampling, draw

ALONE = "local"
"""Where a token was drawn that the whole model drew on the device."""


class Yardstick:
    """The networks of a bundle.

    Args:
        bundle: opened and checked, with the whole model in it.
        sampling: how tokens are drawn, without a penalty for repetitions.
    """

    def __init__(self, bundle: LanguageBundle, sampling: Sampling) -> None:
        self._sampling = sampling
        self._split = [Decoder.of_bundle(bundle, name) for name in (HEAD, TAIL, LAST) if bundle.has(name)]
        self._whole = [Decoder.of_bundle(bundle, LOCAL)]
        self._codec = HiddenCodec(of_bundle(bundle, bundle.manifest.width))

    def as_unsplit(self, talk: Talk) -> int:
        """How many tokens of a conversation the whole model draws too, each behind the same text."""
        return self._same(talk.ids, [position for position, _ in talk.drawn], self._whole, None)

    def as_in_one_place(self, talk: Talk, mode: Mode, *, splits: bool) -> int:
        """How many tokens are those that the same networks give in one place, hidden states passing through the codec.

        Args:
            talk: the conversation.
            mode: in which they crossed.
            splits: False where token ids crossed: the server had the whole model.
        """
        there = [position for position, placement in talk.drawn if placement != ALONE]
        here = [position for position, placement in talk.drawn if placement == ALONE]
        networks = self._split if splits else self._whole
        return self._same(talk.ids, there, networks, mode) + self._same(talk.ids, here, self._whole, None)

    def _same(self, ids: Sequence[int], positions: Sequence[int], networks: Sequence[Decoder], mode: Mode | None) -> int:
        """Rows go through in the stretches of the conversation: another number of rows at once rounds otherwise."""
        caches = [network.new_cache(len(ids)) for network in networks]
        return sum(
            self._drawn(ids[before:position], before, networks, caches, mode) == ids[position]
            for before, position in pairwise([0, *positions])
        )

    def _drawn(
        self, ids: Sequence[int], pos: int, networks: Sequence[Decoder], caches: Sequence[Cache], mode: Mode | None
    ) -> int:
        rows = np.array(ids, np.int64)
        for index, (network, cache) in enumerate(zip(networks, caches, strict=True)):
            if index and mode is not None:
                rows = self._codec.decode(self._codec.encode(rows, mode), len(rows))
            rows = network.run(rows, cache, pos)
        return draw(rows[-1], self._sampling, position=pos + len(ids)).id
