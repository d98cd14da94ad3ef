"""The other servers: how each is started, and how it is asked. Their programs lie in `peers/NAME`."""

import base64
import contextlib
import json
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.server.clients import Client, GrpcCalls, HttpPosts
from benchmarks.server.contenders import Running, open_inference
from benchmarks.server.environment import PEERS, prepare
from benchmarks.server.material import ONNXRUNTIME, Material
from benchmarks.server.process import ServerProcess, free_ports
from google.protobuf.wrappers_pb2 import BytesValue

MakeClient = Callable[[str, int, Material], Client]


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """Another server.

    Attributes:
        name: as its makers write it; behind a comma, what is special about how it is run.
        folder: its program below `peers`.
        command: after `bin/`; `PORT` stands for its port, `PORT+1` for the next.
        environment: variables it needs.
        client: makes a client of its protocol.
        told: how it is served here, for the page.
    """

    name: str
    folder: str
    command: tuple[str, ...]
    environment: dict[str, str]
    client: MakeClient
    told: str

    @property
    def package(self) -> str:
        """Its name alone."""
        return self.name.partition(",")[0]

    @property
    def version(self) -> str:
        """As its requirements pin it."""
        lines = (PEERS / self.folder / "requirements.txt").read_text(encoding="utf-8").splitlines()
        return next(line.partition("==")[2] for line in lines if line.lower().startswith(f"{self.folder}=="))

    @contextlib.contextmanager
    def running(self, material: Material, work: Path) -> Iterator[Running]:
        """Install it if need be, and run it.

        Raises:
            PeerUnavailable: it cannot be installed.
        """
        python = prepare(self.folder, work.resolve() / "environments", (f"onnxruntime=={ONNXRUNTIME}",))
        ports = free_ports(3)
        named = {f"PORT+{offset}": str(port) for offset, port in enumerate(ports)} | {"PORT": str(ports[0])}
        command = [named.get(word, word) for word in self.command]
        environment = {
            "PATH": f"{python.parent}:/usr/bin:/bin",
            "PYTHONPATH": f"{PEERS / 'shared'}:{PEERS / self.folder}",
            "OMP_NUM_THREADS": "1",
            "TAIL": str(material.tail.resolve()),
            "TAIL_SHAPE": ",".join(map(str, material.codes.shape[1:])),
            **{name: named.get(value, value) for name, value in self.environment.items()},
        }
        with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
            server = ServerProcess(
                [str(python.parent / command[0]), *command[1:]],
                folder=PEERS / self.folder,
                environment=environment | {"TMPDIR": scratch},
                log=work / f"{self.name.lower().replace(' ', '-')}.log",
            )
            with server:
                address = f"127.0.0.1:{ports[0]}"
                yield Running(
                    name=self.name, pid=server.pid, client=lambda count: self.client(address, count, material), process=server
                )


def _oip(address: str, in_flight: int, material: Material) -> Client:
    return open_inference(address, in_flight, model="tail", material=material)


def _bytes_value(address: str, in_flight: int, material: Material) -> Client:
    message = BytesValue(value=material.codes.tobytes()).SerializeToString()
    return GrpcCalls(address, in_flight, method="/tail.Tail/Predict", message=message, outputs=material.expected.size)


def _base64_in_json(address: str, in_flight: int, material: Material) -> Client:
    body = json.dumps({"codes": base64.b64encode(material.codes.tobytes()).decode()}).encode()
    size = material.expected.size
    return HttpPosts(address, in_flight, path="/predict", content_type="application/json", body=body, outputs=size)


ALL = (
    Peer(
        name="MLServer",
        folder="mlserver",
        command=("mlserver", "start", "."),
        environment={
            "MLSERVER_HOST": "127.0.0.1",
            "MLSERVER_GRPC_PORT": "PORT",
            "MLSERVER_HTTP_PORT": "PORT+1",
            "MLSERVER_METRICS_PORT": "PORT+2",
        },
        client=_oip,
        told="Open Inference Protocol over gRPC, raw contents; inference in the server's process",
    ),
    Peer(
        name="LitServe",
        folder="litserve",
        command=("python", "app.py", "PORT", "1"),
        environment={},
        client=_base64_in_json,
        told="HTTP, codes in base64 in JSON, scores as bytes; one worker process, its fast queue",
    ),
    Peer(
        name="LitServe, batches",
        folder="litserve",
        command=("python", "app.py", "PORT", "32"),
        environment={},
        client=_base64_in_json,
        told="the same, up to 32 requests in a run, for which it waits up to 1 ms",
    ),
    Peer(
        name="BentoML",
        folder="bentoml",
        command=("bentoml", "serve", "service:TailService", "--host", "127.0.0.1", "--port", "PORT"),
        environment={"BENTOML_DO_NOT_TRACK": "True"},
        client=_base64_in_json,
        told="HTTP, codes in base64 in JSON, scores as bytes; one worker",
    ),
    Peer(
        name="Ray Serve",
        folder="ray",
        command=("python", "app.py", "PORT"),
        environment={"RAY_USAGE_STATS_ENABLED": "0", "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1"},
        client=_bytes_value,
        told="its gRPC proxy, bytes in and out; one replica, its settings for throughput",
    ),
)
