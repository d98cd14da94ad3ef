"""Where a frame is answered: `local`, `split`, `offload`; one object each.

`split` and `offload` turn a picture into what goes over the link, `local` answers by itself. Each reports its stages in seconds.
"""

import copy
import re
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from isthmus.codec import tables
from isthmus.codec.codec import Codec, offered
from isthmus.codec.payload import Mode, mode_of
from isthmus.contract.bundle import Bundle
from isthmus.contract.filter import FILTER
from isthmus.contract.generated import split_pb2 as wire
from isthmus.contract.picture import encode_picture
from isthmus.contract.prepare import Preparation, fit
from isthmus.devices.golden import HEAD, INT8_HEAD
from isthmus.devices.runtime import Network, Provider
from isthmus.errors import ConfigError, ContractMismatch
from isthmus.head.filter import AUDIT_SHARE, NeuralFilter, Verdict
from isthmus.head.model import CPU, DeviceModel, local_network
from isthmus.head.references import Codes, Dialogue


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """One picture, ready for the link."""

    capture: wire.Capture
    """Without sequence and deadline, which the link knows."""
    payload_bytes: int
    stages_s: dict[str, float]
    codes: Codes = ()
    """What the server will hold of it, where later frames may build on that."""
    verdict: Verdict = "pass"
    """Of the neural filter; what it drops is not encoded, and is not to be sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalAnswer:
    """One picture, answered on the device."""

    outputs: dict[str, np.ndarray]
    stages_s: dict[str, float] = field(default_factory=dict)


class Sender(Protocol):
    """A placement that needs the tail."""

    name: str
    setting: str
    sends_pictures: bool
    providers: tuple[str, ...]
    """Execution providers of its network; empty where it runs none."""

    def pack(self, picture: np.ndarray, dialogue: Dialogue | None = None) -> Outgoing:
        """Make the content of a capture from uint8[row, column, 3] BGR; without a dialogue, a key frame."""
        ...


class Split:
    """Head network and codec on the device, tail on the server.

    Args:
        bundle: what runs.
        threads: onnxruntime threads.
        point: index of the operating point.
        int8: run `head.int8.onnx` where the bundle has one; False runs the float head.
        providers: execution providers, best first.
        filtering: run the bundle's neural filter where it has one.
        audit_share: share of the frames that the filter drops which is sent all the same.

    Raises:
        ConfigError: the bundle has no such point, or does not say how a picture is prepared.
        ContractMismatch: the head network does not give the tensors of the boundary.
        BundleError: the codec tables or the filter are damaged.
    """

    name = "split"
    sends_pictures = False

    def __init__(
        self,
        bundle: Bundle,
        *,
        threads: int = 1,
        point: int = 0,
        int8: bool = True,
        providers: Sequence[Provider] = CPU,
        filtering: bool = False,
        audit_share: float = AUDIT_SHARE,
    ) -> None:
        points = bundle.manifest.points
        if not 0 <= point < len(points):
            raise ConfigError(f"operating point {point} does not exist; {bundle.origin} has {len(points)}, counted from 0")
        self.setting = points[point].name
        file = INT8_HEAD if int8 and bundle.has(INT8_HEAD) else HEAD
        self._model = DeviceModel(bundle, file, threads=threads, providers=providers)
        self.providers = self._model.providers
        names, tensors = self._model.output_names, bundle.manifest.boundary.tensors
        if sorted(names) != sorted(tensor.name for tensor in tensors):
            wanted = ", ".join(tensor.name for tensor in tensors)
            raise ContractMismatch(f"{bundle.origin}: {file} gives {', '.join(names)}, the boundary is {wanted}; export it again")
        self._order = [names.index(tensor.name) for tensor in tensors]
        self._manifest = bundle.manifest
        self._tables = tables.of_bundle(bundle)
        self._codec = self._make_codec(offered(self._tables))
        self._point = point
        has_filter = filtering and bundle.has(FILTER)
        self._filter = NeuralFilter(bundle, head=file, audit_share=audit_share) if has_filter else None

    def at_every_point(self) -> list["Split"]:
        """One for each operating point of the bundle, all with this one's network."""
        others = [copy.copy(self) for _ in self._manifest.points]
        for index, other in enumerate(others):
            other.setting, other._point = self._manifest.points[index].name, index
        return others

    def pack(self, picture: np.ndarray, dialogue: Dialogue | None = None) -> Outgoing:
        """Compute and encode the codes of a picture, on the frame that the dialogue offers if that is shorter."""
        computed = self._model.compute(picture)
        stages = {"prepare": computed.prepare_s, "head": computed.compute_s}
        codes = tuple(computed.arrays[index] for index in self._order)
        verdict: Verdict = "pass"
        if self._filter is not None:
            started = time.perf_counter()
            verdict = self._filter.decide(codes)
            stages["filter"] = time.perf_counter() - started
            if verdict == "drop":
                return Outgoing(capture=wire.Capture(), payload_bytes=0, stages_s=stages, verdict=verdict)
        started = time.perf_counter()
        if dialogue is not None and dialogue.modes != self._codec.modes:
            self._codec = self._make_codec(dialogue.modes)
        reference = None if dialogue is None else dialogue.reference
        payload = self._codec.encode(codes, point=self._point, reference=None if reference is None else reference.codes)
        capture = wire.Capture(point=self._point, codes=payload)
        if reference is not None and mode_of(payload) == Mode.TEMPORAL:
            capture.reference = reference.sequence
        kept = self._codec.kept(codes, point=self._point) if Mode.TEMPORAL in self._codec.modes else ()
        stages["encode"] = time.perf_counter() - started
        return Outgoing(capture=capture, payload_bytes=len(payload), stages_s=stages, codes=kept, verdict=verdict)

    def _make_codec(self, modes: Iterable[int]) -> Codec:
        return Codec(self._manifest.boundary, self._manifest.points, modes, tables=self._tables)


class Offload:
    """The picture goes to the server, which runs the whole network."""

    name = "offload"
    sends_pictures = True

    def __init__(self, format_name: str = "jpeg", quality: int = 75, *, fitted_to: Preparation | None = None) -> None:
        """Choose what is sent.

        Args:
            format_name: `jpeg` or `webp`.
            quality: 1 to 100.
            fitted_to: shrink the picture to the input of this preparation first, as the split does; None sends the whole frame.
        """
        self.providers: tuple[str, ...] = ()
        self._format = format_name
        self._quality = quality
        self._fitted_to = fitted_to
        size = f"@{fitted_to.width}x{fitted_to.height}" if fitted_to else ""
        self.setting = f"{format_name}-{quality}{size}"

    def pack(self, picture: np.ndarray, dialogue: Dialogue | None = None) -> Outgoing:
        """Compress a picture."""
        started = time.perf_counter()
        if self._fitted_to is not None:
            picture = fit(picture, self._fitted_to)
        data = encode_picture(picture, self._format, self._quality)
        capture = wire.Capture(picture=wire.Picture(format=self._format, data=data))
        return Outgoing(capture=capture, payload_bytes=len(data), stages_s={"encode": time.perf_counter() - started})


class Local:
    """The whole network on the device; nothing is sent."""

    name = "local"

    def __init__(self, bundle: Bundle, *, threads: int = 1, providers: Sequence[Provider] = CPU) -> None:
        file = local_network(bundle)
        self._model = DeviceModel(bundle, file, threads=threads, providers=providers)
        self.providers = self._model.providers
        self.setting = file.removesuffix(".onnx")

    @property
    def network(self) -> Network:
        """What answers, for checks."""
        return self._model.network

    def answer(self, picture: np.ndarray) -> LocalAnswer:
        """Run the network on a picture."""
        computed = self._model.compute(picture)
        outputs = {name: array[np.newaxis] for name, array in zip(self._model.output_names, computed.arrays, strict=True)}
        return LocalAnswer(outputs=outputs, stages_s={"prepare": computed.prepare_s, "head": computed.compute_s})


def parse_offload(text: str) -> Offload:
    """Read `jpeg-75` or `webp-50`.

    Raises:
        ConfigError: not a format that the server decodes, or not a quality from 1 to 100.
    """
    format_name, _, quality = text.partition("-")
    if format_name not in ("jpeg", "webp") or not re.fullmatch("[0-9]{1,3}", quality) or not 1 <= int(quality) <= 100:
        raise ConfigError(f"{text!r} is not a picture setting; write jpeg or webp and a quality from 1 to 100, as jpeg-75")
    return Offload(format_name, int(quality))
