"""What every stage of a frame takes: the pieces that devices and servers run, in turn, at the pace of a camera.

Stages are timed in turn and after a pause, as a device runs them: in a tight loop caches are warm, and the smaller stages look
quicker than they are, by up to a third. Where the server is installed here too, it runs as a process of its own, and what a round
trip takes besides its own times is a stage as well: threads, gRPC and both kernels, without a link.
"""

import importlib.util
import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

from isthmus.bench import programs
from isthmus.codec import tables
from isthmus.codec.codec import Codec, offered
from isthmus.contract.bundle import Bundle
from isthmus.contract.picture import decode_picture
from isthmus.contract.prepare import prepare
from isthmus.devices.cost.table import Payload, Seconds
from isthmus.head.link import Link
from isthmus.head.placement import Local, Offload, Outgoing, Split

PICTURE_QUALITIES = {"jpeg": (10, 20, 35, 50, 75, 90), "webp": (5, 15, 30, 50, 75, 90)}
"""Those that `isthmus evaluate` has figures of."""
SERVED_PICTURE = "jpeg-75"
"""The setting that the server's own times are taken with; of the others only decoding differs."""
PAUSE_S = 0.01
"""Before each piece. What a pause makes slower is slower after 10 ms already."""
WARM_ROUNDS = 3
PICTURE_S, PICTURE_RUNS_MIN = 1.0, 5
"""A picture setting that has taken so long, and so many runs, is known well enough: a large picture in WebP takes seconds."""
_ANSWER_TIMEOUT_S = 30.0
_CONNECT_TIMEOUT_S = 20.0
_PIXELS_MAX = 1 << 26
_SERVER = ("uvloop", "grpc_health", "grpc_reflection")


@dataclass(slots=True)
class Timings:
    """What was found.

    Attributes:
        spent_s: stage -> seconds, in the order in which frames pass them.
        sizes_bytes: operating point or picture setting -> payloads.
    """

    spent_s: dict[str, list[float]] = field(default_factory=dict)
    sizes_bytes: dict[str, list[int]] = field(default_factory=dict)

    def add(self, stage: str, seconds: float) -> None:
        """One frame."""
        self.spent_s.setdefault(stage, []).append(seconds)

    @property
    def seconds(self) -> dict[str, Seconds]:
        """Stage -> median with the 5th and the 95th percentile."""
        return {stage: spread(spent) for stage, spent in self.spent_s.items()}

    @property
    def payload_bytes(self) -> dict[str, Payload]:
        """Operating point or picture setting -> payload."""
        return {
            name: Payload(mean=float(np.mean(sizes)), median=float(np.median(sizes))) for name, sizes in self.sizes_bytes.items()
        }


def spread(samples: Sequence[float]) -> Seconds:
    """Median with the 5th and the 95th percentile."""
    low, middle, high = (float(value) for value in np.percentile(np.asarray(samples), (5, 50, 95)))
    return Seconds(value=middle, low=low, high=high)


def measure(bundle: Bundle, pictures: Sequence[np.ndarray], *, runs: int, pause_s: float = PAUSE_S) -> Timings:
    """Time the stages of all placements, one thread each.

    Args:
        bundle: of a vision network.
        pictures: uint8[row, column, 3] BGR, taken in turn.
        runs: how often each piece runs.
        pause_s: before each piece.
    """
    found = Timings()
    with _server(bundle) as link:
        pieces = list(_pieces(bundle, link, found))
        for picture in itertools.islice(itertools.cycle(pictures), WARM_ROUNDS):
            for piece in pieces:
                piece(picture)
        found.spent_s.clear()
        found.sizes_bytes.clear()
        for picture in itertools.islice(itertools.cycle(pictures), runs):
            for piece in pieces:
                time.sleep(pause_s)
                piece(picture)
    return found


@contextmanager
def _server(bundle: Bundle) -> Iterator[Link | None]:
    """A stream to a server on this machine; None where none is installed."""
    if any(importlib.util.find_spec(name) is None for name in _SERVER):
        yield None
        return
    with programs.server(bundle.origin) as server, Link(bundle, [server.match["grpc"]], device_id="profile") as link:
        link.wait_connected(_CONNECT_TIMEOUT_S)
        yield link


def _pieces(bundle: Bundle, link: Link | None, found: Timings) -> Iterator[Callable[[np.ndarray], None]]:
    asker = None if link is None else _Asker(link, found)
    head = Split(bundle)
    yield from (_SplitPiece(bundle, split, index, asker, found) for index, split in enumerate(head.at_every_point()))
    if any(bundle.has(name) for name in ("local.onnx", "whole.onnx")):
        local = Local(bundle)
        yield lambda picture: found.add("local", local.answer(picture).stages_s["head"])
    preparation = bundle.manifest.preparation
    for name, qualities in PICTURE_QUALITIES.items():
        for quality, fitted_to in itertools.product(qualities, (None, preparation)):
            yield _PicturePiece(bundle, Offload(name, quality, fitted_to=fitted_to), asker, found)


class _SplitPiece:
    """Head and codec at one point, and what the server does with it."""

    def __init__(self, bundle: Bundle, split: Split, point: int, asker: "_Asker | None", found: Timings) -> None:
        manifest, known = bundle.manifest, tables.of_bundle(bundle)
        self._codec = Codec(manifest.boundary, manifest.points, offered(known), tables=known)
        self._split, self._point, self._asker, self._found = split, point, asker, found

    def __call__(self, picture: np.ndarray) -> None:
        found, setting = self._found, self._split.setting
        packed = self._split.pack(picture)
        for stage, spent in packed.stages_s.items():
            found.add(f"encode {setting}" if stage == "encode" else stage, spent)
        found.sizes_bytes.setdefault(setting, []).append(packed.payload_bytes)
        started = time.perf_counter()
        self._codec.decode(packed.capture.codes, point=self._point)
        found.add(f"server decode {setting}", time.perf_counter() - started)
        if self._asker is not None:
            self._asker.ask(packed, "split")


class _PicturePiece:
    """A picture's encoder, and its decoder with the preparation behind it, as the server has it."""

    def __init__(self, bundle: Bundle, offload: Offload, asker: "_Asker | None", found: Timings) -> None:
        self._preparation = bundle.manifest.preparation
        self._is_served = bundle.has("whole.onnx") and offload.setting == SERVED_PICTURE
        self._offload, self._asker, self._found = offload, asker, found

    def __call__(self, picture: np.ndarray) -> None:
        found, setting = self._found, self._offload.setting
        known = found.spent_s.get(f"encode {setting}", [])
        if len(known) >= PICTURE_RUNS_MIN and sum(known) > PICTURE_S:
            return
        packed = self._offload.pack(picture)
        found.add(f"encode {setting}", packed.stages_s["encode"])
        found.sizes_bytes.setdefault(setting, []).append(packed.payload_bytes)
        sent = packed.capture.picture
        started = time.perf_counter()
        decoded = decode_picture(sent.data, sent.format, pixels_max=_PIXELS_MAX)
        if self._preparation is not None:
            prepare(decoded, self._preparation)
        found.add(f"server decode {setting}", time.perf_counter() - started)
        if self._asker is not None and self._is_served:
            self._asker.ask(packed, "offload")


class _Asker:
    """Sends captures to the server on this machine and keeps its times."""

    def __init__(self, link: Link, found: Timings) -> None:
        self._link, self._found, self._sequence = link, found, 0

    def ask(self, packed: Outgoing, placement: str) -> None:
        self._link.wait_credit(_ANSWER_TIMEOUT_S)
        packed.capture.sequence = self._sequence
        self._sequence += 1
        started = time.perf_counter()
        reply = self._link.send(packed.capture).result(_ANSWER_TIMEOUT_S)
        whole_s = time.perf_counter() - started
        if not reply.ok:
            return
        self._found.add(f"round trip {placement}", max(0.0, whole_s - (reply.round_trip_s - reply.network_s)))
        for stage in ("queue", "compute", "post"):
            self._found.add(f"server {stage} {placement}", reply.server_s[stage])
