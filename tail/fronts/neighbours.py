"""What a front process asks of the others, through the process that watches over all: each knows only its own streams."""

from isthmus.contract.generated import split_pb2 as wire
from isthmus.errors import FrameNotHeld
from isthmus.tail.fronts.line import Line
from isthmus.tail.repository.repository import Entry, Repository

FETCH, LOAD, UNLOAD = "fetch", "load", "unload"
FETCH_TIMEOUT_S = 60.0
LOAD_TIMEOUT_S = 600.0
"""Loading a large network takes minutes on a slow disk."""


class Elsewhere:
    """Devices whose streams other front processes have.

    Args:
        line: to the process that knows them.
    """

    def __init__(self, line: Line) -> None:
        self._line = line

    async def fetch(self, request: wire.FetchFrameRequest) -> wire.FetchFrameReply:
        """Ask every other front process for a picture.

        Raises:
            FrameNotHeld: no device of theirs has it.
            TailUnavailable: nobody answered.
        """
        data = await self._line.ask(FETCH, request.SerializeToString(), timeout_s=FETCH_TIMEOUT_S)
        return wire.FetchFrameReply.FromString(data)


class SharedRepository(Repository):
    """A repository of which every front process has one; what is asked of one is done by all.

    Args:
        own: this process's.
        line: to the process that tells the others.
    """

    def __init__(self, own: Repository, line: Line) -> None:
        self.own = own
        self._line = line

    async def start(self) -> None:  # noqa: D102 - as of `Repository`, and so below
        await self.own.start()

    async def close(self) -> None:  # noqa: D102
        await self.own.close()

    def index(self) -> tuple[Entry, ...]:  # noqa: D102
        return self.own.index()

    @property
    def ready(self) -> bool:  # noqa: D102
        return self.own.ready

    async def load(self, name: str, version: str = "") -> None:  # noqa: D102
        await self.own.load(name, version)
        await self._line.ask(LOAD, _named(name, version), timeout_s=LOAD_TIMEOUT_S)

    async def unload(self, name: str, version: str = "") -> None:  # noqa: D102
        await self.own.unload(name, version)
        await self._line.ask(UNLOAD, _named(name, version), timeout_s=LOAD_TIMEOUT_S)


def _named(name: str, version: str) -> bytes:
    return f"{name}\n{version}".encode()


def names_of(body: bytes) -> tuple[str, str]:
    """Name and version of a load or unload."""
    name, _, version = body.decode().partition("\n")
    return name, version


def not_held(request: wire.FetchFrameRequest) -> FrameNotHeld:
    """What is said when no front process has the device."""
    return FrameNotHeld(f"device {request.device_id!r} has no such stream on this server")
