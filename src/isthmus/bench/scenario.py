"""When frames are due: MLPerf Inference's four scenarios, as far as they fit devices that stream to a server.

    single-stream   a frame is due when the one before it is answered
    multi-stream    a query of one frame from each of N devices is due when the query before it is answered, to its last frame
    server          frames are due at random moments (a Poisson process of a given rate), whether or not earlier ones are answered
    offline         all frames are due at once; the rate counts

Latency always counts from the moment a frame was due, not from when it was sent: a server that stalls must not thin out the
questions that are asked of it (MLPerf's rule; "coordinated omission"). Ours is unofficial and not a submission: durations,
numbers of queries and rules of MLPerf are not kept.
"""

from dataclasses import dataclass
from typing import Literal, cast, get_args

from isthmus.errors import UsageError

Name = Literal["single-stream", "multi-stream", "server", "offline"]
STREAMS_MAX = 32
"""Each is a device with a stream and a shaped link of its own on this machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """When frames are due, and from how many devices.

    Attributes:
        name: of the scenario.
        rate_per_s: frames due in a second, of all devices together; only in `server`.
        streams: devices, each with a stream and a link of its own.
    """

    name: Name = "single-stream"
    rate_per_s: float | None = None
    streams: int = 1

    @property
    def takes_turns(self) -> bool:
        """Whether cells take turns frame by frame; elsewhere each has the machine for a block of frames."""
        return self.name == "single-stream"

    @property
    def words(self) -> str:
        """For people.

        >>> Scenario(name="server", rate_per_s=20.0, streams=4).words
        'server, 20 frames/s, 4 devices'
        """
        rate = "" if self.rate_per_s is None else f", {self.rate_per_s:g} frames/s"
        return f"{self.name}{rate}" + (f", {self.streams} devices" if self.streams > 1 else "")


SINGLE_STREAM = Scenario()


def parse(name: str, *, rate_per_s: float | None, streams: int) -> Scenario:
    """Read a scenario.

    Raises:
        UsageError: there is none of that name, or its options are missing or not its own.
    """
    if name not in get_args(Name):
        raise UsageError(f"--scenario {name!r} is none of {', '.join(get_args(Name))}")
    if (name == "server") != (rate_per_s is not None):
        raise UsageError(
            "--scenario server needs --rate, as --rate 20/s"
            if name == "server"
            else f"--rate is for --scenario server, not {name}"
        )
    if name == "single-stream" and streams > 1:
        raise UsageError(f"--streams {streams}: single-stream has one; take multi-stream or server")
    if name == "multi-stream" and streams < 2:
        raise UsageError("--scenario multi-stream needs --streams, as --streams 4")
    return Scenario(name=cast("Name", name), rate_per_s=rate_per_s, streams=streams)
