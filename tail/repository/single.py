"""One bundle, given when the server starts and served until it stops."""

from typing import NoReturn

from isthmus.contract.bundle import AnyBundle
from isthmus.errors import ConfigError
from isthmus.tail.catalog import Catalog
from isthmus.tail.repository import loading
from isthmus.tail.repository.repository import Entry, Repository
from isthmus.tail.settings import ServerSettings
from isthmus.tail.watching.metrics import Metrics


class SingleBundle(Repository):
    """A repository of one.

    Args:
        bundle: opened and checked.
        catalog: gets the bundle.
        settings: how it runs.
        metrics: counts the load.
    """

    def __init__(self, bundle: AnyBundle, catalog: Catalog, settings: ServerSettings, metrics: Metrics) -> None:
        self._catalog = catalog
        self._bundle = bundle
        self._settings = settings
        self._metrics = metrics

    async def start(self) -> None:
        """Load the bundle.

        Raises:
            BundleError: it cannot be served.
            DeviceError: its networks do not run here.
        """
        self._catalog.add(await loading.load(self._bundle, self._settings))
        self._metrics.loaded(ok=True)

    async def close(self) -> None:
        """Let its networks go."""
        for served in self._catalog:
            await served.close()

    def index(self) -> tuple[Entry, ...]:
        """The bundle, once it is loaded."""
        return tuple(Entry(name=served.name, version=served.version, state="READY") for served in self._catalog)

    @property
    def ready(self) -> bool:
        """Whether it is loaded."""
        return len(self._catalog) > 0

    async def load(self, name: str, version: str = "") -> None:
        """Refused; `unload` too.

        Raises:
            BundleNotServed: another bundle is named.
            ConfigError: always else.
        """
        self._refuse(name, version)

    async def unload(self, name: str, version: str = "") -> None:
        """Refused; see `load`."""
        self._refuse(name, version)

    def _refuse(self, name: str, version: str) -> NoReturn:
        served = self._catalog.find(name, version)
        raise ConfigError(
            f"this server was started with the bundle {served} alone, which is neither loaded nor unloaded; "
            "serve a repository with --mode explicit"
        )
