"""The networks of one bundle, one set for each worker thread, and what they make of a frame.

A worker owns its session of `tail.onnx`, which is checked against the golden frames. `whole.onnx`, for devices that send
pictures, is loaded once for all workers: onnxruntime runs a session for several threads at a time, and pictures are rarer.

Outputs keep the batch axis of one that the networks give, so that an answer looks the same whether the device or the
server computed it. NaN and infinity in an output are never sent: the frame counts as failed, because every consumer
compares and thresholds, and a NaN passes or fails all comparisons silently.
"""

import threading
import time
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Self

import numpy as np
import structlog

from isthmus.codec import tables
from isthmus.codec.codec import Codec, negotiate, offered
from isthmus.codec.payload import Mode
from isthmus.contract import picture, tensor
from isthmus.contract.bundle import Bundle, file_sha256
from isthmus.contract.generated import split_pb2 as wire
from isthmus.contract.limits import DEFAULT, Limits
from isthmus.contract.models import TAIL, WHOLE
from isthmus.contract.prepare import prepare
from isthmus.devices import golden
from isthmus.devices import provider as providers
from isthmus.devices.runtime import Network
from isthmus.errors import BundleError, DeviceError, IsthmusError
from isthmus.tail.interface import Interface, tail_interface, whole_interface
from isthmus.tail.settings import Pictures

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What is to be computed: one frame, as `codes` for the tail or as an encoded picture for the whole network, or `tensors`
    that go into `network` as they are and may hold several frames."""  # noqa: D205, D209

    kind: Literal["codes", "picture", "tensors"]
    codes: tuple[np.ndarray, ...] = ()
    picture_format: str = ""
    picture_data: bytes = b""
    network: str = TAIL
    tensors: Mapping[str, np.ndarray] = field(default_factory=dict)

    @property
    def company(self) -> Hashable:
        """Works of equal company may share a run. Frames of codes do; all else is computed alone, so one worker takes one."""
        return self.kind if self.kind == "codes" else id(self)

    @property
    def size_bytes(self) -> int:
        """What it holds in memory."""
        return len(self.picture_data) + sum(array.nbytes for array in (*self.codes, *self.tensors.values()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Computed:
    """What came out of one work, ready for the wire, and the time that each stage took."""

    outputs: tuple[wire.Tensor, ...]
    decode_s: float
    compute_s: float
    post_s: float


class TailModel:
    """A loaded bundle. `compute` is called from worker threads, everything else from anywhere."""

    def __init__(self, bundle: Bundle, *, workers: int, threads: int, limits: Limits, provider: str, pictures: Pictures) -> None:
        self.bundle = bundle
        self.limits = limits
        self.provider = provider
        """What computes: `cpu`, `cuda` or `tensorrt`."""
        self._threads = threads
        self._pictures = pictures
        self._tails = tuple(self._network(TAIL) for _ in range(workers))
        self._whole: Network | None = None
        self._loading = threading.Lock()
        self._tables = tables.of_bundle(bundle)
        self._codecs: dict[tuple[Mode, ...], Codec] = {}
        self.modes = offered(self._tables)
        """Codec modes that this server decodes, best first."""
        self.batches = False
        """Whether several frames may go through `tail.onnx` at once; found out by the golden check."""
        self.interfaces: dict[str, Interface] = {}
        """What tensors go into a network and come out, by its file."""

    @classmethod
    def load(
        cls,
        bundle: Bundle,
        *,
        workers: int,
        threads: int = 1,
        limits: Limits = DEFAULT,
        provider: providers.Choice = "auto",
        pictures: Pictures = "loaded",
    ) -> Self:
        """Load the tail once for each worker, the whole network once, and check them.

        Args:
            bundle: opened and checked.
            workers: how many threads will call `compute`.
            threads: threads inside one onnxruntime session.
            limits: what is taken of a picture.
            provider: what computes; of `auto` the first one whose outputs are the golden ones.
            pictures: when `whole.onnx` is loaded.

        Raises:
            BundleError: a network is missing or damaged, or its outputs are not the golden ones.
            DeviceError: onnxruntime cannot run the network here, or has not the provider that is asked for.
        """
        *first, last = providers.candidates(provider)
        for name in first:
            try:
                return cls._checked(bundle, workers, threads, limits, name, pictures)
            except IsthmusError as error:
                _log.warning("provider does not serve this bundle", provider=name, bundle=bundle.manifest.id, reason=str(error))
        return cls._checked(bundle, workers, threads, limits, last, pictures)

    @classmethod
    def _checked(cls, bundle: Bundle, workers: int, threads: int, limits: Limits, provider: str, pictures: Pictures) -> Self:
        model = cls(bundle, workers=workers, threads=threads, limits=limits, provider=provider, pictures=pictures)
        model._check_ports()
        frames = golden.read(bundle)
        golden.check_tail(bundle, frames, model._tails[0])
        model.batches = model._gives_the_same_in_batches(frames)
        model.interfaces[TAIL] = tail_interface(bundle.manifest, model._tails[0].outputs, rows_free=model.batches)
        if pictures != "off" and bundle.has(WHOLE):
            model.interfaces[WHOLE] = whole_interface(bundle.manifest, rows_free=model.batches)
        if model.takes_pictures and pictures == "loaded":
            model._check_whole(frames)
        return model

    @property
    def workers(self) -> int:
        """Number of worker threads that can compute at once."""
        return len(self._tails)

    @property
    def takes_pictures(self) -> bool:
        """Whether a device may send a picture instead of codes."""
        return self._pictures != "off" and self.bundle.has(WHOLE) and self.bundle.manifest.preparation is not None

    def codec(self, modes: Sequence[int]) -> Codec:
        """The codec for devices that offer `modes`; streams that agree on the same modes share one."""
        agreed = negotiate(modes, self.modes)
        if agreed not in self._codecs:
            manifest = self.bundle.manifest
            self._codecs[agreed] = Codec(manifest.boundary, manifest.points, agreed, tables=self._tables)
        return self._codecs[agreed]

    def compute(self, worker: int, works: Sequence[Work]) -> list[Computed]:
        """Compute works of one company.

        Args:
            worker: index of the calling worker thread.
            works: one, or several frames of codes if `batches`.

        Returns:
            One result for each work, in order.

        Raises:
            MalformedPayload: the picture is not what it claims to be.
            DeviceError: the network failed, or gave NaN or infinity.
        """
        if works[0].kind == "codes":
            return self._compute_codes(worker, works)
        if works[0].kind == "picture":
            return [self._compute_picture(work) for work in works]
        return [self._compute_tensors(worker, work) for work in works]

    def _compute_codes(self, worker: int, works: Sequence[Work]) -> list[Computed]:
        started = time.perf_counter()
        if len(works) == 1:
            parts = tuple(codes[np.newaxis] for codes in works[0].codes)
        else:
            parts = tuple(np.stack(column) for column in zip(*(work.codes for work in works), strict=True))
        outputs = self._run_tail(self._tails[worker], parts)
        computed = time.perf_counter()
        rows = _rows(outputs, len(works))
        packed = [_pack(row) for row in rows]
        share = 1 / len(works)
        post_s = (time.perf_counter() - computed) * share
        return [Computed(outputs=out, decode_s=0.0, compute_s=computed - started, post_s=post_s) for out in packed]

    def _compute_picture(self, work: Work) -> Computed:
        preparation = self.bundle.manifest.preparation
        if preparation is None:
            raise DeviceError(f"{self.bundle.origin} does not say how to prepare a picture")
        started = time.perf_counter()
        decoded = picture.decode_picture(work.picture_data, work.picture_format, pixels_max=self.limits.picture_pixels)
        prepared = prepare(decoded, preparation)
        decode_s = time.perf_counter() - started
        return _run(self._loaded_whole(), {self.bundle.manifest.input.name: prepared}, decode_s=decode_s)

    def _compute_tensors(self, worker: int, work: Work) -> Computed:
        return _run(self._tails[worker] if work.network == TAIL else self._loaded_whole(), work.tensors)

    def _loaded_whole(self) -> Network:
        with self._loading:
            if self._whole is None:
                # Long after the bundle was opened, its files may be others.
                if file_sha256(self.bundle.path(WHOLE)) != self.bundle.manifest.files[WHOLE].sha256:
                    raise BundleError(f"{self.bundle.origin}: {WHOLE} was changed since the bundle was opened")
                self._whole = self._network(WHOLE)
            return self._whole

    def _network(self, name: str) -> Network:
        return Network.of_bundle(self.bundle, name, threads=self._threads, providers=providers.chain(self.provider))

    def _run_tail(self, network: Network, codes: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
        tensors = self.bundle.manifest.boundary.tensors
        return network.run({described.name: array for described, array in zip(tensors, codes, strict=True)})

    def _check_ports(self) -> None:
        given = sorted(port.name for port in self._tails[0].inputs)
        wanted = sorted(described.name for described in self.bundle.manifest.boundary.tensors)
        if given != wanted:
            raise BundleError(f"{self.bundle.origin}: tail.onnx takes {given}, the boundary has {wanted}; export it again")

    def _check_whole(self, frames: golden.GoldenFrames) -> None:
        """See it run on a golden input. What it gives is not that of the split, which quantises, but has the same names."""
        manifest = self.bundle.manifest
        outputs = self._loaded_whole().run({manifest.input.name: frames.inputs[:1]})
        if missing := [port.name for port in manifest.outputs if port.name not in outputs]:
            raise BundleError(f"{self.bundle.origin}: {WHOLE} gives {', '.join(outputs)}, the manifest promises {missing[0]!r}")

    def _gives_the_same_in_batches(self, frames: golden.GoldenFrames) -> bool:
        """Whether all golden frames at once give what they give one by one. A free first axis does not promise it: it may be a
        detector's list of boxes, or a reshape inside may have kept the batch of the export."""  # noqa: D205, D209
        tail = self._tails[0]
        if len(frames) < 2 or any(port.shape[:1] != (None,) for port in (*tail.inputs, *tail.outputs)):
            return False
        try:
            outputs = self._run_tail(tail, frames.codes)
        except DeviceError:
            return False
        task = self.bundle.manifest.task
        return golden.output_difference(task, outputs, frames.outputs) <= golden.difference_max(task)


def _run(network: Network, feeds: Mapping[str, np.ndarray], *, decode_s: float = 0.0) -> Computed:
    started = time.perf_counter()
    outputs = network.run(feeds)
    computed = time.perf_counter()
    packed = _pack(outputs)
    return Computed(outputs=packed, decode_s=decode_s, compute_s=computed - started, post_s=time.perf_counter() - computed)


def _rows(outputs: Mapping[str, np.ndarray], count: int) -> list[Mapping[str, np.ndarray]]:
    if count == 1:
        return [outputs]
    for name, array in outputs.items():
        if array.ndim == 0 or array.shape[0] != count:
            raise DeviceError(f"output {name!r} of {count} frames has shape {list(array.shape)}; serve with batch_max 1")
    return [{name: array[index : index + 1] for name, array in outputs.items()} for index in range(count)]


def _pack(outputs: Mapping[str, np.ndarray]) -> tuple[wire.Tensor, ...]:
    for name, array in outputs.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise DeviceError(f"the network gave NaN or infinity in output {name!r} for this input")
    return tuple(tensor.pack(name, array) for name, array in outputs.items())
