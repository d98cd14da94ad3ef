"""One version of one bundle as it is served: its networks, and the queue in front of them."""

import abc
import asyncio
from dataclasses import dataclass, field
from typing import Self

import structlog

from isthmus.codec.codec import PLAIN_MODES
from isthmus.codec.payload import mode_of
from isthmus.contract.bundle import AnyBundle, Bundle
from isthmus.errors import ContractMismatch
from isthmus.tail.batch import Batcher
from isthmus.tail.model import Computed, TailModel, Work
from isthmus.tail.settings import ServerSettings

INLINE_CODES_MAX = 65_536
"""Codes of one frame that are decoded on the event loop: about a millisecond. Larger frames go to a thread."""
INLINE_PLAIN_CODES_MAX = 524_288
"""The same where nothing is predicted: a check sum, and bytes that are copied or a zstd frame."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class AnyServed(abc.ABC):
    """A loaded bundle of any kind under the name and version that clients ask for."""

    name: str
    """Of its folder in a repository, else the bundle's own id."""
    version: str

    def __str__(self) -> str:
        return f"{self.name} {self.version}"

    @property
    @abc.abstractmethod
    def bundle(self) -> AnyBundle:
        """What is served."""

    @property
    @abc.abstractmethod
    def provider(self) -> str:
        """What computes: `cpu`, `cuda` or `tensorrt`."""

    @property
    @abc.abstractmethod
    def instances(self) -> int:
        """Threads that compute."""

    @property
    @abc.abstractmethod
    def queued(self) -> int:
        """What waits for them."""

    @property
    @abc.abstractmethod
    def task(self) -> str:
        """What it is for, in a word."""

    @abc.abstractmethod
    async def close(self) -> None:
        """Finish what is queued and let the networks go."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Served(AnyServed):
    """A loaded bundle of a network of frames."""

    model: TailModel
    batcher: Batcher[Work, Computed]
    codes: int = field(init=False)
    """Of one frame."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "codes", sum(tensor.size() for tensor in self.bundle.manifest.boundary.tensors))

    @classmethod
    async def load(cls, bundle: Bundle, settings: ServerSettings, *, name: str = "", version: str = "") -> Self:
        """Load the networks in a thread and start the workers.

        Args:
            bundle: opened and checked.
            settings: instances, threads, queue and limits.
            name: default the bundle's id.
            version: default the bundle's version.

        Raises:
            BundleError: the bundle cannot be served.
            DeviceError: onnxruntime cannot run it here.
        """
        model = await asyncio.to_thread(
            TailModel.load,
            bundle,
            workers=settings.instances,
            threads=settings.threads,
            limits=settings.limits,
            provider=settings.provider,
            pictures=settings.pictures,
        )
        batcher: Batcher[Work, Computed] = Batcher(
            model.compute,
            workers=settings.instances,
            queue_max=settings.queue_max,
            queue_bytes_max=settings.queue_bytes_max,
            batch_max=settings.batch_max if model.batches else 1,
        )
        manifest = bundle.manifest
        served = cls(name=name or manifest.id, version=version or manifest.version, model=model, batcher=batcher)
        _log.info(
            "bundle loaded",
            bundle=served.name,
            version=served.version,
            contract=bundle.digest[:12],
            signed_by=bundle.signed_by,
            provider=model.provider,
            instances=settings.instances,
        )
        return served

    @property
    def bundle(self) -> Bundle:
        """What is served."""
        return self.model.bundle

    @property
    def provider(self) -> str:
        """What computes."""
        return self.model.provider

    @property
    def instances(self) -> int:
        """Threads that compute."""
        return self.model.workers

    @property
    def queued(self) -> int:
        """Frames that wait."""
        return self.batcher.queued

    @property
    def task(self) -> str:
        """What its outputs mean, in a word."""
        return self.bundle.manifest.task.kind

    def decodes_aside(self, payload: bytes) -> bool:
        """Whether decoding this frame would hold the event loop for too long."""
        return self.codes > (INLINE_PLAIN_CODES_MAX if mode_of(payload) in PLAIN_MODES else INLINE_CODES_MAX)

    async def close(self) -> None:
        """Finish what is queued and let the networks go."""
        await self.batcher.close()


def of_frames(served: AnyServed) -> Served:
    """A bundle that frames can be sent to.

    Raises:
        ContractMismatch: it is a language model.
    """
    if not isinstance(served, Served):
        raise ContractMismatch(f"bundle {served} is a language model; a device opens Generate with it, not Stream")
    return served
