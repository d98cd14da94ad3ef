"""Where a new bundle comes from, and what every such place can do.

tail                    the servers of the device, by `FetchBundle`
HOST:PORT               one server
https://HOST/PATH       a web server; plain http only on loopback
PATH                    a file or a bundle folder, for updates by hand
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass

from isthmus.head.update.store import Incoming


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What lies there, as far as the place says; every word of it is checked when the bytes are here."""

    size_bytes: int
    sha256: str = ""
    """Of the archive; empty where the place does not know it."""
    manifest_sha256: str = ""
    """Of its `manifest.json`, likewise."""
    tag: str = ""
    """Names this content where the place has no digest: another content has another tag."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """Bytes on their way."""

    offer: Offer
    offset: int
    """Where they begin: 0, or where the part that is here ends."""
    chunks: Iterator[bytes]
    """Raises TailUnavailable where they stop before their end."""


class UpdateSource(ABC):
    """A place that has bundles.

    Attributes:
        name: for messages.
    """

    name: str

    @abstractmethod
    def look(self) -> Offer:
        """What is there, without taking it.

        Raises:
            TailUnavailable: nobody answers; `Overloaded` says when to come back.
            AccessError: it lets nobody in.
            BundleError: it has no such bundle.
            ConfigError: a file of the credentials cannot be used.
        """

    @abstractmethod
    def open(self, held: Incoming | None, offset: int) -> AbstractContextManager[Transfer]:
        """Begin to take what is there.

        Args:
            held: what the part that is here is of; None where there is none.
            offset: length of that part.

        Raises:
            IsthmusError: as `look`.
        """

    def interrupt(self) -> None:
        """End whatever waits, from any thread."""
        return
