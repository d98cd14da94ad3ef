"""One network of a split language model (`head.onnx`, `tail.onnx`, `last.onnx`, `local.onnx`) and the caches of its sequences.

A sequence goes through it in calls of any number of rows. The position that a call names is what counts: the cache is cut
back to it first, which is rollback, repetition and the refusal of a draft in one. Single rows of several sequences go through
together where caches are shared buffers; the weights are then read once for all of them.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np

from isthmus.contract.bundle import AnyBundle
from isthmus.devices.decoder.cache import Cache
from isthmus.devices.decoder.caches import Caches, Call
from isthmus.devices.decoder.grown import GrownCaches
from isthmus.devices.decoder.shared import SEQUENCE_LENGTHS, SharedCaches
from isthmus.devices.decoder.slots import KeyValueShape
from isthmus.devices.decoder.step import Step
from isthmus.devices.runtime import CPU, Network, Port, Provider
from isthmus.errors import BundleError, LocalProtocolError

IDS, HIDDEN, LOGITS, HIDDEN_OUT = "input_ids", "hidden", "logits", "hidden_out"
KEEP = "logits_to_keep"


def past_names(layer: int) -> tuple[str, str]:
    """What a network calls the keys and values that it takes of one of its layers."""
    return f"past_key_values.{layer}.key", f"past_key_values.{layer}.value"


def present_names(layer: int) -> tuple[str, str]:
    """What a network calls the keys and values that it gives."""
    return f"present.{layer}.key", f"present.{layer}.value"


class Decoder:
    """A loaded network; threads may run it at the same time with different caches.

    Args:
        network: loaded, with ports as `contract.language` describes them.
        slots: sequences whose caches lie side by side.

    Raises:
        BundleError: the network is no part of a language model.
    """

    def __init__(self, network: Network, *, slots: int = 1) -> None:
        ports = {port.name: port for port in (*network.inputs, *network.outputs)}
        self.name = network.name
        self._entry = _one_of(network, ports, IDS, HIDDEN)
        self._exit = _one_of(network, ports, LOGITS, HIDDEN_OUT)
        self._keeps = KEEP in ports
        self._shapes = _shapes(network, ports)
        pasts = [name for layer in range(len(self._shapes)) for name in past_names(layer)]
        presents = [name for layer in range(len(self._shapes)) for name in present_names(layer)]
        self._caches: Caches = (
            SharedCaches(network, self._shapes, pasts, presents, slots=slots)
            if SEQUENCE_LENGTHS in ports
            else GrownCaches(network, self._shapes, pasts, presents)
        )

    @classmethod
    def load(cls, path: Path, *, slots: int = 1, threads: int = 1, providers: Sequence[Provider] = CPU) -> Self:
        """Read a network.

        Args:
            path: the file; its weights lie in it or beside it.
            slots: sequences whose caches lie side by side; `run_together` is fastest on those.
            threads: inside one operator.
            providers: execution providers, best first.

        Raises:
            BundleError: missing, damaged, or no part of a language model.
            DeviceError: onnxruntime is missing or cannot run it.
        """
        return cls(Network.load(path, threads=threads, providers=providers), slots=slots)

    @classmethod
    def of_bundle(
        cls, bundle: AnyBundle, name: str, *, slots: int = 1, threads: int = 1, providers: Sequence[Provider] = CPU
    ) -> Self:
        """Read a network of a bundle; as `load`, and its weights lie in files that the manifest names."""
        return cls(Network.of_bundle(bundle, name, threads=threads, providers=providers), slots=slots)

    @property
    def layers(self) -> int:
        """How many it has."""
        return len(self._shapes)

    @property
    def takes_ids(self) -> bool:
        """Whether its rows are token ids; else they are hidden states."""
        return self._entry.name == IDS

    @property
    def gives_logits(self) -> bool:
        """Whether it gives logits; else hidden states."""
        return self._exit.name == LOGITS

    def cache_bytes(self, positions: int) -> int:
        """What a cache of so many positions may grow to."""
        return self._caches.size_bytes(positions)

    def new_cache(self, positions: int) -> Cache:
        """An empty cache.

        Args:
            positions: that it shall hold at least.
        """
        return self._caches.new(positions)

    def run(self, rows: np.ndarray, cache: Cache, pos: int, *, keep: int | None = None) -> np.ndarray:
        """Put rows of one sequence through the network.

        Args:
            rows: int64[row] of token ids, or float32[row, width] of hidden states.
            cache: of the sequence; holds `pos + rows` positions afterwards.
            pos: of the first row; what the cache held from there on is forgotten.
            keep: how many of the last rows get logits; None: all.

        Returns:
            float32[row, vocabulary or width].

        Raises:
            LocalProtocolError: the cache holds fewer than `pos` positions or has no room.
            BundleError: the rows do not fit the network.
            DeviceError: onnxruntime failed.
        """
        cache.check_room(pos, len(rows))
        answer = self._call(rows[np.newaxis], [cache], [pos], len(rows) if keep is None else keep)
        return np.asarray(answer[0])

    def run_together(self, steps: Sequence[Step]) -> list[np.ndarray]:
        """Put single rows of several sequences through the network.

        Args:
            steps: of different caches.

        Returns:
            As `run` would, for each in order: float32[1, vocabulary or width].

        Raises:
            LocalProtocolError, BundleError, DeviceError: as `run`; or a step has several rows, or two have one cache.
        """
        if len({id(step.cache) for step in steps}) != len(steps) or any(len(step.row) != 1 for step in steps):
            raise LocalProtocolError("what runs together is one row of each of several sequences")
        for step in steps:
            step.cache.check_room(step.pos, 1)
        answers: dict[int, np.ndarray] = {}
        for batch in self._caches.batches(steps):
            rows = np.stack([step.row for step in batch])
            found = self._call(rows, [step.cache for step in batch], [step.pos for step in batch], 1)
            answers |= {id(step.cache): answer for step, answer in zip(batch, found, strict=True)}
        return [answers[id(step.cache)] for step in steps]

    def _call(self, rows: np.ndarray, caches: Sequence[Cache], positions: Sequence[int], keep: int) -> np.ndarray:
        """One call on caches that are neighbours in their order; `rows` has a batch axis."""
        self._entry.check(rows, self.name)
        if self.takes_ids and rows.size and rows.min() < 0:
            raise BundleError(f"{self.name}: a token id is never negative, got {rows.min()}")
        count = rows.shape[1]
        keep = min(keep, count)
        feeds = {self._entry.name: np.ascontiguousarray(rows)}
        if self._keeps:
            feeds[KEEP] = np.array(keep, np.int64)
        shape = (len(caches), keep if self._keeps else count, self._exit.shape[-1] or 0)
        return self._caches.run(
            Call(feeds=feeds, caches=caches, positions=positions, rows=count, gives=self._exit.name, shape=shape)
        )


def _one_of(network: Network, ports: dict[str, Port], *names: str) -> Port:
    for name in names:
        if name in ports:
            return ports[name]
    raise BundleError(f"{network.name} is no part of a language model: it has no {' or '.join(names)}")


def _shapes(network: Network, ports: dict[str, Port]) -> list[KeyValueShape]:
    shapes: list[KeyValueShape] = []
    while (name := past_names(len(shapes))[0]) in ports:
        _, heads, _, width = ports[name].shape
        if heads is None or width is None:
            raise BundleError(f"{network.name}: {name} does not say how many heads of what width it has; export it again")
        shapes.append(KeyValueShape(heads=heads, width=width))
    if not shapes:
        raise BundleError(f"{network.name} is no part of a language model: it has no {past_names(0)[0]}")
    return shapes
