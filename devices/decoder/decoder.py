"""One network of a split language model (`head.onnx`, `tail.onnx`, `last.onnx`, `local.onnx`) with caches written in place.

A sequence goes through it in calls of any number of rows. The position that a call names is what counts: the cache is cut
back to it first, which is rollback, repetition and the refusal of a draft in one. Single rows of several sequences go through
together; the weights are then read once for all of them.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from isthmus.contract.bundle import AnyBundle
from isthmus.devices.decoder.cache import Cache
from isthmus.devices.decoder.slots import KeyValueShape, SlotBuffers, spans
from isthmus.devices.runtime import CPU, Network, Port, Provider
from isthmus.errors import BundleError, LocalProtocolError

IDS, HIDDEN, LOGITS, HIDDEN_OUT = "input_ids", "hidden", "logits", "hidden_out"
KEEP, SEQUENCE_LENGTHS, TOTAL_LENGTH = "logits_to_keep", "seqlens_k", "total_sequence_length"
GROWTH_POSITIONS = 64
"""Caches are rounded up to a multiple, so that those of almost one length share their buffers."""


def past_names(layer: int) -> tuple[str, str]:
    """What a network calls the keys and values that it takes of one of its layers."""
    return f"past_key_values.{layer}.key", f"past_key_values.{layer}.value"


def present_names(layer: int) -> tuple[str, str]:
    """What a network calls the keys and values that it gives."""
    return f"present.{layer}.key", f"present.{layer}.value"


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """One row of one sequence, for `run_together`.

    Attributes:
        row: int64[1], or float32[1, width].
        cache: of the sequence.
        pos: of the row.
    """

    row: np.ndarray
    cache: Cache
    pos: int


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
        self._network = network
        self._slots = slots
        self._entry = _one_of(network, ports, IDS, HIDDEN)
        self._exit = _one_of(network, ports, LOGITS, HIDDEN_OUT)
        self._keeps = KEEP in ports
        self._shapes = _shapes(network, ports)
        self._pasts = [name for layer in range(len(self._shapes)) for name in past_names(layer)]
        self._presents = [name for layer in range(len(self._shapes)) for name in present_names(layer)]
        self._buffers: list[SlotBuffers] = []
        self._bindings: dict[tuple[int, int, int], Any] = {}
        self._lock = threading.Lock()

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
        return sum(2 * shape.heads * shape.width for shape in self._shapes) * _rounded(positions) * np.float32().nbytes

    def new_cache(self, positions: int) -> Cache:
        """An empty cache.

        Args:
            positions: that it shall hold at least.
        """
        wanted = _rounded(positions)
        with self._lock:
            for buffers in self._buffers:
                lease = buffers.take() if buffers.positions == wanted else None
                if lease is not None:
                    return Cache(buffers, lease)
            buffers = SlotBuffers(self._shapes, slots=self._slots, positions=wanted)
            self._buffers.append(buffers)
            lease = buffers.take()
            assert lease is not None
            return Cache(buffers, lease)

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
        for buffers in {id(step.cache.buffers): step.cache.buffers for step in steps}.values():
            mine = [step for step in steps if step.cache.buffers is buffers]
            buffers.draw_together({step.cache.lease: step.pos for step in mine})
            mine.sort(key=lambda step: step.cache.lease.slot)
            for first, last in spans([step.cache.lease for step in mine]):
                group = mine[first:last]
                rows = np.stack([step.row for step in group])
                found = self._call(rows, [step.cache for step in group], [step.pos for step in group], 1)
                answers |= {id(step.cache): answer for step, answer in zip(group, found, strict=True)}
        return [answers[id(step.cache)] for step in steps]

    def _call(self, rows: np.ndarray, caches: Sequence[Cache], positions: Sequence[int], keep: int) -> np.ndarray:
        """One call on caches that are neighbours in their order; `rows` has a batch axis."""
        self._entry.check(rows, self.name)
        if self.takes_ids and rows.size and rows.min() < 0:
            raise BundleError(f"{self.name}: a token id is never negative, got {rows.min()}")
        count = rows.shape[1]
        keep = min(keep, count)
        lengths = np.array(positions, np.int32) + count
        answer = np.empty((len(caches), keep if self._keeps else count, self._exit.shape[-1] or 0), np.float32)
        with self._lock:
            binding = self._binding(caches)
        binding.feed(self._entry.name, np.ascontiguousarray(rows))
        binding.feed(SEQUENCE_LENGTHS, lengths - 1)
        binding.feed(TOTAL_LENGTH, np.array(lengths.max(), np.int32))
        if self._keeps:
            binding.feed(KEEP, np.array(keep, np.int64))
        binding.fill(self._exit.name, answer)
        binding.run()
        for cache, length in zip(caches, lengths, strict=True):
            cache.length = int(length)
        return answer

    def _binding(self, caches: Sequence[Cache]) -> Any:  # noqa: ANN401
        """Made once for a run of slots: binding the buffers of all layers takes longer than some layers do."""
        buffers, first = caches[0].buffers, caches[0].lease.slot
        key = (id(buffers), first, len(caches))
        if key not in self._bindings:
            binding = self._network.binding()
            for past, present, array in zip(
                self._pasts, self._presents, buffers.stretch(first, first + len(caches)), strict=True
            ):
                binding.feed(past, array)
                binding.fill(present, array)
            self._bindings[key] = binding
        return self._bindings[key]


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


def _rounded(positions: int) -> int:
    return -(-positions // GROWTH_POSITIONS) * GROWTH_POSITIONS
