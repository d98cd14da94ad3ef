"""What an agent is asked to do."""

import socket
from dataclasses import dataclass, field
from typing import Literal

from isthmus.devices.provider import Choice
from isthmus.head.credentials import Credentials
from isthmus.head.delivery import DeliverySettings
from isthmus.head.filter import AUDIT_SHARE
from isthmus.head.mailbox import DropPolicy
from isthmus.head.sources.form import Form
from isthmus.head.thrift import ThriftSettings

PlacementName = Literal["split", "offload", "local", "auto"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentSettings:
    """All of an agent but its bundle and what is called back."""

    source: str
    """What frames come from; see `isthmus.head.source`."""
    tails: tuple[str, ...] = ()
    """`host:port` of one or more equal servers; only `local` needs none."""
    sinks: tuple[str, ...] = ()
    """Where records go; see `isthmus.head.sink.open_sink`."""
    placement: PlacementName = "split"
    point: int = 0
    """Operating point of `split`."""
    picture: str = "jpeg-75"
    """What `offload` sends; for `auto` one or more settings with commas between them."""
    deadline_s: float | None = None
    """From capture to answer; what is later is dropped. None: an answer is never too late."""
    gate: bool = True
    """Whether frames in which nothing moves are dropped."""
    filtering: bool = True
    """Whether the split drops frames in whose codes the bundle's neural filter, if it has one, sees nothing."""
    audit_share: float = AUDIT_SHARE
    """Share of these that is sent all the same, to see what the filter misses."""
    fps: float | None = None
    """Pace of a file, or what a camera is asked for."""
    form: Form = field(default_factory=Form)
    drop_policy: DropPolicy | None = None
    """None: `drop-oldest` for live sources, `wait` for files, where every picture counts."""
    device_id: str = field(default_factory=socket.gethostname)
    standby: bool = True
    """Whether the device answers by itself what the server does not answer in time, where the bundle has `local.onnx`."""
    delivery: DeliverySettings | None = None
    """Frames that are taken must be delivered: their pictures wait on the disk until the server has answered; None: none must."""
    connect_wait_s: float = 10.0
    """How long to wait for the server at the start: a slow radio's first connection, and a server that is just starting."""
    credentials: Credentials = field(default_factory=Credentials)
    """TLS and token; none: plain connections, which servers take on loopback."""
    int8: bool = True
    """Run the head in int8 where the bundle has one; it is shipped only where it was measured faster and not worse."""
    threads: int = 1
    """Of onnxruntime; more only pays where cores are idle."""
    provider: Choice = "auto"
    """Execution provider; `auto` takes CUDA where it starts, else the CPU."""
    thrift: ThriftSettings = field(default_factory=ThriftSettings)
    """When a live source gives fewer frames: heat, low battery."""
    evidence_bytes: int | None = None
    """Room for pictures of the newest frames; None keeps none."""
