"""The networks that run on the device, and what they keep of the conversation."""

import contextlib
import threading
from collections.abc import Sequence

import numpy as np

from isthmus.contract.bundle import LanguageBundle
from isthmus.contract.language import HEAD, LAST, LOCAL
from isthmus.devices.decoder.cache import Cache
from isthmus.devices.decoder.decoder import Decoder
from isthmus.errors import IsthmusError

STRETCH = 256
"""Rows in one run where nothing else waits: working memory stays small."""


class Part:
    """One network and its cache.

    Args:
        bundle: opened and checked.
        name: of the file.
        positions: longest conversation.
        threads: inside one operator.
    """

    def __init__(self, bundle: LanguageBundle, name: str, *, positions: int, threads: int) -> None:
        self._decoder = Decoder.of_bundle(bundle, name, threads=threads)
        self._cache: Cache = self._decoder.new_cache(positions)

    def __len__(self) -> int:
        return self._cache.length

    def run(self, rows: np.ndarray, pos: int, *, keep: int | None = None) -> np.ndarray:
        """See `Decoder.run`."""
        return self._decoder.run(rows, self._cache, pos, keep=keep)

    def truncate(self, pos: int) -> None:
        """Forget positions from `pos` on, where there are any."""
        self._cache.truncate(min(pos, self._cache.length))

    def close(self) -> None:
        """Give back the memory."""
        self._cache.close()


class Near:
    """What of a bundle runs here.

    Args:
        bundle: opened and checked.
        threads: inside one operator.
        splits: whether the head is needed; without, tokens cross or nothing does.
    """

    def __init__(self, bundle: LanguageBundle, *, threads: int, splits: bool) -> None:
        self._bundle = bundle
        self._threads = threads
        self.head = self._part(HEAD) if splits else None
        self.last = self._part(LAST) if splits and bundle.has(LAST) else None
        """Of the sandwich."""
        self._local: Part | None = None
        self._preparing: threading.Thread | None = None
        self._prepared: tuple[tuple[int, ...], np.ndarray] | None = None

    @property
    def has_local(self) -> bool:
        """Whether the device can go on alone."""
        return self._bundle.has(LOCAL)

    def hidden(self, ids: Sequence[int], pos: int) -> np.ndarray:
        """Hidden states of tokens from a position on; float32[row, width]."""
        if self.head is None:
            raise AssertionError("no head was loaded")
        return self.head.run(np.array(ids, np.int64), pos)

    def logits(self, hidden: np.ndarray, pos: int) -> np.ndarray:
        """Of the sandwich's last layers: float32[vocabulary] of the last row of what the server gave."""
        if self.last is None:
            raise AssertionError("no last layers were loaded")
        return np.asarray(self.last.run(hidden, pos, keep=1)[-1])

    def local_logits(self, ids: Sequence[int]) -> np.ndarray:
        """What the whole model here makes of a conversation: float32[vocabulary] behind its last token.

        What it has seen of it before is not computed again. The network is loaded with the first call, unless it was prepared.
        """
        self._finish_preparing()
        prepared, self._prepared = self._prepared, None
        # Not computed again: a row that goes through alone may be rounded otherwise.
        return prepared[1] if prepared is not None and prepared[0] == tuple(ids) else self._local_logits(ids)

    def prepare_local(self, ids: Sequence[int]) -> None:
        """Load the whole model and have it see a conversation, beside whatever else is done. Does nothing when it is loaded."""
        if self._local is None and self._preparing is None:
            self._preparing = threading.Thread(target=self._prepare, args=(tuple(ids),), name="isthmus-local", daemon=True)
            self._preparing.start()

    def _prepare(self, ids: tuple[int, ...]) -> None:
        # What is wrong with it is told when it is needed.
        with contextlib.suppress(IsthmusError):
            self._prepared = ids, self._local_logits(ids)

    def _finish_preparing(self) -> None:
        if self._preparing is not None:
            self._preparing.join()
            self._preparing = None

    def _local_logits(self, ids: Sequence[int]) -> np.ndarray:
        if self._local is None:
            self._local = self._part(LOCAL)
        pos = min(len(self._local), len(ids) - 1)
        while pos < len(ids):
            some = np.array(ids[pos : pos + STRETCH], np.int64)
            logits = self._local.run(some, pos, keep=1)
            pos += len(some)
        return np.asarray(logits[-1])

    def truncate(self, pos: int) -> None:
        """The conversation goes on from an earlier position."""
        self._finish_preparing()
        for part in (self.head, self.last, self._local):
            if part is not None:
                part.truncate(pos)

    def close(self) -> None:
        """Give back the memory."""
        self._finish_preparing()
        for part in (self.head, self.last, self._local):
            if part is not None:
                part.close()

    def _part(self, name: str) -> Part:
        return Part(self._bundle, name, positions=self._bundle.manifest.positions_max, threads=self._threads)
