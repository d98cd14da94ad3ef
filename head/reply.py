"""What came back for one capture."""

from dataclasses import dataclass

import numpy as np

from isthmus.contract import tensor
from isthmus.contract.generated import split_pb2 as wire
from isthmus.errors import MalformedPayload

SERVER_STAGES = ("queue", "decode", "compute", "post")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """The tail's answer to one capture.

    Attributes:
        sequence: of the capture.
        status: name of the `isthmus.v1.Status` without its prefix, in lower case: `ok`, `expired`, `invalid`, ...
        message: the server's words where the status is not `ok`.
        outputs: arrays by name, with a batch axis; empty unless `ok`.
        round_trip_s: from handing the capture to gRPC until the answer was read.
        server_s: how long the server had it, by its own clock, by stage.
        network_s: round trip minus the server's total; the clocks are never compared.
    """

    sequence: int
    status: str
    message: str
    outputs: dict[str, np.ndarray]
    round_trip_s: float
    server_s: dict[str, float]
    network_s: float

    @property
    def ok(self) -> bool:
        """Whether the outputs are there."""
        return self.status == "ok"


def read(answer: wire.Answer, round_trip_s: float) -> Reply:
    """Read an answer.

    Raises:
        RemoteProtocolError: an output is not what it claims to be, or comes twice.
    """
    times = {stage: getattr(answer.times, f"{stage}_us") / 1e6 for stage in SERVER_STAGES}
    try:
        status = wire.Status.Name(answer.status).removeprefix("STATUS_").lower()
    except ValueError:
        status = f"status {answer.status}"
    names = [output.name for output in answer.outputs]
    if len(set(names)) != len(names):
        raise MalformedPayload(f"answer {answer.sequence} holds an output twice: {', '.join(names)[:200]}")
    return Reply(
        sequence=answer.sequence,
        status=status,
        message=answer.message,
        outputs={output.name: tensor.unpack(output) for output in answer.outputs},
        round_trip_s=round_trip_s,
        server_s=times,
        network_s=max(0.0, round_trip_s - answer.times.total_us / 1e6),
    )
