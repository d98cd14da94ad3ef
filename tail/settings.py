"""How a server runs."""

import os
from dataclasses import dataclass, field
from typing import Literal

from isthmus.contract.limits import DEFAULT, Limits
from isthmus.devices import provider as providers
from isthmus.errors import ConfigError
from isthmus.tail.admission.handout import HandoutLimits
from isthmus.tail.admission.limits import ClientLimits
from isthmus.tail.security.settings import SecuritySettings

Pictures = Literal["loaded", "lazy", "off"]
"""When `whole.onnx` is loaded, for devices that send pictures: at the start, with the first picture, or never."""


def default_instances() -> int:
    """One core is left to the event loop and the codec; more than eight workers outrun what one event loop feeds."""
    return max(1, min(8, len(os.sched_getaffinity(0)) - 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """How a server runs."""

    host: str = "127.0.0.1"
    """Loopback: what leaves the machine must be asked for."""

    grpc_port: int = 8001
    """Triton's and KServe's gRPC port; 0 takes a free one."""

    shares_port: bool = False
    """Other processes of the same server listen on it too."""

    metrics_port: int | None = 8002
    """Triton's metrics port; 0 takes a free one, None serves no metrics."""

    instances: int = field(default_factory=default_instances)
    """Threads that compute for each bundle, each with its own onnxruntime session."""

    threads: int = 1
    """Threads inside one session. Several frames in parallel use cores better than several threads on one frame."""

    queue_max: int = 64
    """Frames of one bundle that wait. At 1 ms each and one instance the last one waits 64 ms; more would only be late."""

    queue_bytes_max: int = 64 << 20
    """Memory of the frames that wait, of each bundle: ten of the largest pictures, and more codes than ever wait."""

    batch_max: int | None = None
    """Frames in one run of the tail; None is up to 8, as long as they take about 4 ms. A CPU computes several frames no faster,
    but what a run costs around a light network is shared; on GPUs 8 to 32 are worth more than that."""

    rows_max: int = 64
    """Frames in one request of the Open Inference Protocol: one request shall not hold a worker for seconds."""

    refuse_nonfinite: bool = True
    """Refuse NaN and infinity in the inputs of requests. No camera gives them; a network may hide one in a plausible answer."""

    provider: providers.Choice = "auto"
    """What computes; `auto` is CUDA where onnxruntime has it and it starts, else the CPU."""

    pictures: Pictures = "loaded"
    """A network that cannot be loaded shall be found at the start, by the operator, and not by a device. It may be larger than
    the tail, though, and where no device sends pictures that memory is for nothing."""

    strict_readiness: bool = True
    """Ready only while every bundle that should be served is; else as soon as the server answers. Triton's name and default."""

    streams_max: int = 256
    """Devices and conversations at a time; each may have as many frames or steps here as the limits say."""

    requests_max: int = 256
    """Calls and streams of the Open Inference Protocol at a time. More than wait in the queues, and not so many that they take
    the room of devices."""

    sessions_max: int = 1024
    """Sessions held, with and without a stream."""

    references_bytes_max: int = 256 << 20
    """Memory for decoded frames of all sessions and bundles, so that no device that opens sessions takes more."""

    session_idle_s: float = 300.0
    """A device that was away for longer starts with a key frame, which costs it one larger payload."""

    round_max: int = 16
    """Conversations with a language model whose tokens are computed together, and whose caches lie side by side. On a CPU eight
    rows cost about twice one; past sixteen a round takes too long for whoever waits for the next."""

    cache_bytes_max: int = 2 << 30
    """Memory for keys and values of all conversations; their positions are reserved, used pages come as they are needed."""

    client_cache_bytes_max: int | None = None
    """The same for each client; None is without limit."""

    lease_s: float = 300.0
    """How long a conversation is kept without a step. A device that comes later sends its history again."""

    drain_grace_s: float = 5.0
    """From SIGTERM until open streams are cut; orchestrators kill after 10 s or more."""

    security: SecuritySettings = field(default_factory=SecuritySettings)
    """Files of certificates and tokens."""

    insecure: bool = False
    """Listen beyond loopback without TLS."""

    limits: Limits = DEFAULT
    """What is taken from a device."""

    client: ClientLimits = field(default_factory=ClientLimits)
    """What each client may use."""

    handout: HandoutLimits = field(default_factory=HandoutLimits)
    """What bundles for updates may take."""

    def __post_init__(self) -> None:
        counts = ("instances", "threads", "queue_max", "batch_max", "rows_max", "streams_max", "requests_max", "sessions_max")
        more = ("references_bytes_max", "round_max", "cache_bytes_max", "client_cache_bytes_max", "lease_s")
        for name in (*counts, *more):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"{name} is {value}, at least 1 is needed")
        if self.queue_bytes_max < self.limits.picture_bytes:
            raise ConfigError(
                f"queue_bytes_max is {self.queue_bytes_max}, less than one picture of {self.limits.picture_bytes} bytes"
            )
        if not self.insecure:
            self.security.check_reach(self.host)
