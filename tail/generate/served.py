"""One version of a language model as it is served: its networks, and the thread that computes them."""

import asyncio
from dataclasses import dataclass
from typing import Self

import structlog

from isthmus.contract.bundle import LanguageBundle
from isthmus.errors import ContractMismatch
from isthmus.tail.generate.model import LanguageModel
from isthmus.tail.generate.scheduler import Scheduler
from isthmus.tail.served import AnyServed
from isthmus.tail.settings import ServerSettings
from isthmus.tail.watching.language import LanguageFigures

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class ServedLanguage(AnyServed):
    """A loaded language model under the name and version that clients ask for."""

    model: LanguageModel
    scheduler: Scheduler
    figures: LanguageFigures
    threads: int

    @classmethod
    async def load(cls, bundle: LanguageBundle, settings: ServerSettings, *, name: str = "", version: str = "") -> Self:
        """Load the networks in a thread and start the one that computes.

        Args:
            bundle: opened and checked.
            settings: threads, limits of memory.
            name: default the bundle's id.
            version: default the bundle's version.

        Raises:
            BundleError: the bundle cannot be served.
            DeviceError: onnxruntime cannot run it here.
        """
        threads = settings.instances * settings.threads
        model = await asyncio.to_thread(
            LanguageModel.load, bundle, threads=threads, slots=settings.round_max, whole=settings.pictures != "off"
        )
        name, version = name or bundle.manifest.id, version or bundle.manifest.version
        figures = LanguageFigures(name, version)
        scheduler = Scheduler(round_max=settings.round_max, queue_bytes_max=settings.queue_bytes_max, on_round=figures.ran)
        served = cls(name=name, version=version, model=model, scheduler=scheduler, figures=figures, threads=threads)
        _log.info(
            "language model loaded",
            bundle=served.name,
            version=served.version,
            contract=bundle.digest[:12],
            signed_by=bundle.signed_by,
            layouts=model.layouts,
            threads=threads,
        )
        return served

    @property
    def bundle(self) -> LanguageBundle:
        """What is served."""
        return self.model.bundle

    @property
    def provider(self) -> str:
        """What computes."""
        return "cpu"

    @property
    def instances(self) -> int:
        """Threads that compute."""
        return self.threads

    @property
    def queued(self) -> int:
        """Steps that wait."""
        return self.scheduler.queued

    @property
    def task(self) -> str:
        """What it is for, in a word."""
        return "language"

    async def close(self) -> None:
        """Finish what is queued and let the networks go."""
        await self.scheduler.close()


def language(served: AnyServed) -> ServedLanguage:
    """A bundle that conversations can be had with.

    Raises:
        ContractMismatch: it is of another kind.
    """
    if not isinstance(served, ServedLanguage):
        raise ContractMismatch(f"bundle {served} is no language model; a device opens Stream with it, not Generate")
    return served
