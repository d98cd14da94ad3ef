"""What every source of bundles tells and takes: which versions there are and in what state, load, unload.

Only the event loop calls a repository. It puts what is loaded into the catalogue and takes out what is not offered any longer;
streams and requests look only there.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal

State = Literal["LOADING", "READY", "UNLOADING", "UNAVAILABLE"]
"""As Triton's repository index has them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One version of one bundle."""

    name: str
    version: str
    state: State
    reason: str = ""
    """Why it is not served, or what went wrong when newer files of it were to be loaded; one line."""


class Repository(ABC):
    """A source of bundles; `start` and `close` are called once each."""

    @abstractmethod
    async def start(self) -> None:
        """Load what is to be served from the beginning.

        Raises:
            IsthmusError: there is nothing to serve, and nothing can come.
        """

    @abstractmethod
    async def close(self) -> None:
        """Let everything go; streams have ended before."""

    @abstractmethod
    def index(self) -> tuple[Entry, ...]:
        """Everything known, by name and version: loaded or not."""

    @property
    @abstractmethod
    def ready(self) -> bool:
        """Whether every bundle that should be served is."""

    @abstractmethod
    async def load(self, name: str, version: str = "") -> None:
        """Load a version, or load it again if its files have changed; returns when it is served.

        Args:
            name: of the bundle.
            version: empty is what the version policy says, which is the newest one unless the bundle's settings differ.

        Raises:
            BundleNotServed: the repository has no such bundle or version.
            ConfigError: this repository takes no such requests, or the bundle's settings are wrong.
            BundleError: the bundle is not sound, or not signed by a trusted key.
            DeviceError: its networks do not run here.
        """

    @abstractmethod
    async def unload(self, name: str, version: str = "") -> None:
        """Offer a version no longer. Returns at once; its streams are asked to leave, then its networks go.

        Args:
            name: of the bundle.
            version: empty is every version.

        Raises:
            BundleNotServed: no such bundle or version is served.
            ConfigError: this repository takes no such requests.
        """
