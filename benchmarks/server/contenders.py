"""Who is measured: Isthmus and its peers as running servers, the bare loop beside them."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from benchmarks.server.clients import Client, Devices, GrpcCalls
from benchmarks.server.environment import PeerUnavailable
from benchmarks.server.material import Material
from benchmarks.server.process import ServerProcess

from isthmus.bench import programs
from isthmus.codec.codec import Codec
from isthmus.codec.payload import Mode
from isthmus.contract.generated import open_inference_pb2 as oip

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
def isthmus_server(material: Material, _work: Path, *, mode: Mode = Mode.ZSTD) -> Iterator[Running]:
    """`isthmus serve` with one instance and everything else at its default, asked by devices over their streams."""
    with programs.server(material.bundle.folder) as server:
        address, payload = server.match["grpc"], encoded(material, mode)
        digest = bytes.fromhex(material.bundle.digest)

        def client(in_flight: int) -> Client:
            return Devices(address, in_flight, digest=digest, modes=[int(mode)], payload=payload)

        yield Running(name="Isthmus", pid=server.pid, client=client)


@contextlib.contextmanager
def isthmus_inference(material: Material, _work: Path) -> Iterator[Running]:
    """The same server, asked as other servers are: unary calls of the Open Inference Protocol."""
    name = material.bundle.manifest.id
    with programs.server(material.bundle.folder) as server:
        yield Running(
            name="Isthmus, Open Inference Protocol",
            pid=server.pid,
            client=lambda in_flight: open_inference(server.match["grpc"], in_flight, model=name, material=material),
        )


def encoded(material: Material, mode: Mode) -> bytes:
    """The frame as a payload of the codec, in one mode."""
    manifest = material.bundle.manifest
    return Codec(manifest.boundary, manifest.points, [mode]).encode(tuple(material.codes))


def open_inference(address: str, in_flight: int, *, model: str, material: Material) -> Client:
    """A client of the Open Inference Protocol."""
    return GrpcCalls(
        address,
        in_flight,
        method="/inference.GRPCInferenceService/ModelInfer",
        message=inference_request(material, model),
        outputs=material.expected.size,
    )


def inference_request(material: Material, model: str) -> bytes:
    """The frame as a request of the Open Inference Protocol, with raw contents."""
    codes = material.codes
    tensor = oip.ModelInferRequest.InferInputTensor(name="codes", datatype="INT8", shape=codes.shape)
    request = oip.ModelInferRequest(model_name=model, inputs=[tensor], raw_input_contents=[codes.tobytes()])
    serialised: bytes = request.SerializeToString()
    return serialised
