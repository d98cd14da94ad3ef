"""Who is measured: Isthmus and its peers as running servers, the bare loop beside them."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from benchmarks.server.clients import Client, Devices
from benchmarks.server.environment import PeerUnavailable
from benchmarks.server.material import Material
from benchmarks.server.process import ServerProcess

from isthmus.bench import programs
from isthmus.codec.codec import Codec
from isthmus.codec.payload import Mode

START_TIMEOUT_S = 90.0
TOLERANCE = 1e-4


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A server that was started.

    Attributes:
        name: of the server.
        pid: of its first process.
        client: makes a client with so many requests in flight.
        process: its process, if it is a peer's.
    """

    name: str
    pid: int
    client: Callable[[int], Client]
    process: ServerProcess | None = None

    async def wait_ready(self, expected: np.ndarray) -> None:
        """Ask until it answers, and compare the answer.

        Raises:
            PeerUnavailable: it ended, did not answer in time, or gave other scores.
        """
        late = time.monotonic() + START_TIMEOUT_S
        problem = "nothing"
        while time.monotonic() < late:
            if self.process and self.process.ended is not None:
                raise PeerUnavailable(f"ended with {self.process.ended}: {self.process.last_words()}")
            try:
                async with asyncio.timeout(5), self.client(1) as client:
                    found = await client.first()
            except Exception as error:  # whatever a peer does is its answer
                problem = f"{type(error).__name__}: {error}"
                await asyncio.sleep(0.3)
            else:
                _compare(found, expected.ravel())
                return
        words = f"; its last words: {self.process.last_words()}" if self.process else ""
        raise PeerUnavailable(f"no answer within {START_TIMEOUT_S:.0f} s ({problem[:200]}){words}")


def _compare(found: np.ndarray, expected: np.ndarray) -> None:
    if found.shape != expected.shape or not np.allclose(found, expected, atol=TOLERANCE):
        raise PeerUnavailable(f"answers {found[:4]}..., the bare loop {expected[:4]}...")


@contextlib.contextmanager
def isthmus_server(material: Material, _work: Path, *, mode: Mode = Mode.ZSTD, extra: tuple[str, ...] = ()) -> Iterator[Running]:
    """`isthmus serve` with one worker and everything else at its default."""
    bundle = material.bundle
    codec = Codec(bundle.manifest.boundary, bundle.manifest.points, [mode])
    payload = codec.encode(tuple(material.codes))
    with programs.server(bundle.folder, extra=extra) as server:
        address = server.match["grpc"]

        def client(in_flight: int) -> Client:
            digest = bytes.fromhex(bundle.digest)
            return Devices(address, in_flight, digest=digest, modes=[int(mode)], payload=payload)

        yield Running(name="Isthmus", pid=server.pid, client=client)
