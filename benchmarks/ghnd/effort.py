"""Processor time that a device spends on a picture, one thread: the head, the whole detector, and the encoders of its rivals.

Processor time and not time on the clock: it is the same whatever else a shared machine does, but for caches.
"""

import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from benchmarks.ghnd.measuring import Row
from benchmarks.ghnd.rivals import Sent

from isthmus.contract.bundle import Bundle
from isthmus.contract.prepare import prepare
from isthmus.devices.runtime import Network

PICTURES = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """What sends or finds with about the split's precision, or better.

    Attributes:
        name: for people.
        size: mean bytes of a picture.
        cpu_ms: median on the device.
    """

    name: str
    size: float
    cpu_ms: float


def efforts(bundle: Bundle, pictures: Sequence[np.ndarray], split: Row, sent: Sequence[tuple[Sent, Row]]) -> list[Effort]:
    """The head, the whole detector, and of each codec the smallest picture that is at least as good as the split."""
    few = pictures[:PICTURES]
    found = [
        Effort(name="head of the split", size=split.bytes_mean, cpu_ms=_network_ms(bundle, "head.onnx", few)),
        Effort(name="whole detector, nothing sent", size=0.0, cpu_ms=_network_ms(bundle, "whole.onnx", few)),
    ]
    good = sorted((pair for pair in sent if pair[1].drawn[0, 0] >= split.drawn[0, 0]), key=lambda pair: pair[1].bytes_mean)
    smallest: dict[str, tuple[Sent, Row]] = {}
    for way, row in good:
        smallest.setdefault(way.codec, (way, row))
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    found += [Effort(name=way.name, size=row.bytes_mean, cpu_ms=_median_ms(way.encode, few)) for way, row in smallest.values()]
    cv2.setNumThreads(threads)
    return found


def _network_ms(bundle: Bundle, file: str, pictures: Sequence[np.ndarray]) -> float:
    network, manifest = Network.of_bundle(bundle, file), bundle.manifest
    assert manifest.preparation is not None
    feeds = [{manifest.input.name: prepare(picture, manifest.preparation)} for picture in pictures]
    return _median_ms(network.run, feeds)


def _median_ms(work: Callable[..., object], given: Iterable[object]) -> float:
    spent = []
    for one in given:
        started = time.process_time()
        work(one)
        spent.append(time.process_time() - started)
    return 1e3 * statistics.median(spent)
