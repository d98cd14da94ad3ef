"""Caches that a network reads and writes where they lie (GroupQueryAttention with past and present in one buffer)."""

import threading
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from isthmus.devices.decoder.cache import Cache, SlotCache
from isthmus.devices.decoder.caches import Call
from isthmus.devices.decoder.slots import KeyValueShape, SlotBuffers, position_bytes, spans
from isthmus.devices.decoder.step import Step
from isthmus.devices.runtime import Network

SEQUENCE_LENGTHS, TOTAL_LENGTH = "seqlens_k", "total_sequence_length"
GROWTH_POSITIONS = 64
"""Caches are rounded up to a multiple, so that those of almost one length share their buffers."""


class SharedCaches:
    """Of the sequences that go through one network.

    Args:
        network: loaded.
        shapes: of its layers.
        pasts: names of the keys and values that it takes, of the layers in turn.
        presents: of those that it gives.
        slots: sequences whose caches lie side by side.
    """

    def __init__(
        self, network: Network, shapes: Sequence[KeyValueShape], pasts: Sequence[str], presents: Sequence[str], *, slots: int
    ) -> None:
        self._network = network
        self._shapes = shapes
        self._names = list(zip(pasts, presents, strict=True))
        self._slots = slots
        self._buffers: list[SlotBuffers] = []
        self._bindings: dict[tuple[int, int, int], Any] = {}
        self._lock = threading.Lock()

    def size_bytes(self, positions: int) -> int:
        """What a cache of so many positions may grow to."""
        return position_bytes(self._shapes) * _rounded(positions)

    def new(self, positions: int) -> Cache:
        """An empty cache that holds so many positions at least."""
        wanted = _rounded(positions)
        with self._lock:
            for buffers in self._buffers:
                lease = buffers.take() if buffers.positions == wanted else None
                if lease is not None:
                    return SlotCache(buffers, lease)
            buffers = SlotBuffers(self._shapes, slots=self._slots, positions=wanted)
            self._buffers.append(buffers)
            lease = buffers.take()
            assert lease is not None
            return SlotCache(buffers, lease)

    def batches(self, steps: Sequence[Step]) -> Iterator[list[Step]]:
        """Steps that can go through in one call: neighbours, after those that can be were moved side by side."""
        placed = [(step, _slot(step.cache)) for step in steps]
        for buffers in {id(cache.buffers): cache.buffers for _, cache in placed}.values():
            mine = [(step, cache) for step, cache in placed if cache.buffers is buffers]
            buffers.draw_together({cache.lease: step.pos for step, cache in mine})
            mine.sort(key=lambda one: one[1].lease.slot)
            for first, last in spans([cache.lease for _, cache in mine]):
                yield [step for step, _ in mine[first:last]]

    def run(self, call: Call) -> np.ndarray:
        """Run the network on caches that lie side by side."""
        lengths = np.array(call.positions, np.int32) + call.rows
        with self._lock:
            binding = self._binding([_slot(cache) for cache in call.caches])
        for name, array in call.feeds.items():
            binding.feed(name, array)
        binding.feed(SEQUENCE_LENGTHS, lengths - 1)
        binding.feed(TOTAL_LENGTH, np.array(lengths.max(), np.int32))
        answer = np.empty(call.shape, np.float32)
        binding.fill(call.gives, answer)
        binding.run()
        for cache, length in zip(call.caches, lengths, strict=True):
            cache.length = int(length)
        return answer

    def _binding(self, caches: Sequence[SlotCache]) -> Any:  # noqa: ANN401
        """Made once for a run of slots: binding the buffers of all layers takes longer than some layers do."""
        buffers, first = caches[0].buffers, caches[0].lease.slot
        key = (id(buffers), first, len(caches))
        if key not in self._bindings:
            binding = self._network.binding()
            for (past, present), array in zip(self._names, buffers.stretch(first, first + len(caches)), strict=True):
                binding.feed(past, array)
                binding.fill(present, array)
            self._bindings[key] = binding
        return self._bindings[key]


def _slot(cache: Cache) -> SlotCache:
    assert isinstance(cache, SlotCache), "a cache of another network"
    return cache


def _rounded(positions: int) -> int:
    return -(-positions // GROWTH_POSITIONS) * GROWTH_POSITIONS
