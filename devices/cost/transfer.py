"""How long a message and its answer are on the way over a link, as `devices.lane` keeps its time.

A message passes the bottleneck at the link's rate and then travels half a round trip; so does its answer. To a payload the wire
adds gRPC's prefix, frames and headers of HTTP/2, and what both ends tell each other of their windows: constants here, counted on
the shaper. Neither TLS is in it (22 bytes a record) nor headers of TCP and IP (some 4%: the rate of a link counts what TCP
carries), nor loss, nor TCP's slow start after a pause, which on a real link gives payloads above some 14 kB one more round trip
for every doubling.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from math import prod

import numpy as np

from isthmus.devices.cost.table import Seconds
from isthmus.devices.link import LinkProfile
from isthmus.devices.rate_trace import RateTrace

CAPTURE_BYTES = 60
"""Around a payload on its way up: 49 to 80 were counted for payloads of 350 bytes to 190 kB."""
ANSWER_BYTES = 68
"""Beside the outputs on the way down: status, times, credit, windows."""
OUTPUT_BYTES = 24
"""Around each output: name, type, shape."""
KEEPALIVE_S = 5.0
"""gRPC waits so long for an echo behind what is being sent (`head.stream`); a payload that takes longer breaks the stream."""
_STARTS = 200
"""Moments of a recording at which sending begins, spread evenly."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """Bytes of TCP payload that one frame takes: up to the server, and its answer down."""

    up_bytes: float
    down_bytes: float

    @property
    def wire_bytes(self) -> float:
        """Both ways."""
        return self.up_bytes + self.down_bytes


def exchange(payload_bytes: float, answer_bytes: float) -> Exchange:
    """What crosses for a payload; `answer_bytes` as `answer_bytes` gives it."""
    return Exchange(up_bytes=payload_bytes + CAPTURE_BYTES, down_bytes=answer_bytes)


def answer_bytes(outputs: Iterable[tuple[int | None, ...]]) -> float:
    """Size of an answer with float32 outputs of these shapes; a free axis counts as one.

    >>> answer_bytes([(None, 10)])
    132
    """
    return ANSWER_BYTES + sum(OUTPUT_BYTES + 4 * prod(size or 1 for size in shape) for shape in outputs)


def duration(link: LinkProfile, crossing: Exchange) -> Seconds:
    """How long the bytes of one frame are on the way, both ways together; outages are left out.

    Returns:
        The median; the bounds are the jitter's, or the 5th and 95th percentile of what begins anywhere in a recording.
    """
    if link.trace is not None:
        return _over(link.trace, link, crossing)
    sent_s = 0.0 if link.rate_bit_s is None else crossing.wire_bytes * 8 / link.rate_bit_s
    value = link.round_trip_s + sent_s
    return Seconds(value=value, low=value - link.jitter_s, high=value + link.jitter_s)


def sending_s(link: LinkProfile, crossing: Exchange) -> float:
    """How long the way up is occupied."""
    rate_bit_s = link.mean_rate_bit_s
    return 0.0 if rate_bit_s is None else crossing.up_bytes * 8 / rate_bit_s


def _over(trace: RateTrace, link: LinkProfile, crossing: Exchange) -> Seconds:
    found = [_from(trace, start_s, link, crossing) for start_s in np.linspace(0, trace.length_s, _STARTS, endpoint=False)]
    low, value, high = (float(one) for one in np.percentile(found, (5, 50, 95)))
    return Seconds(value=value, low=max(0.0, low - link.jitter_s), high=high + link.jitter_s)


def _from(trace: RateTrace, start_s: float, link: LinkProfile, crossing: Exchange) -> float:
    """Both directions follow the same recording, as the shaper has them."""
    arrived_s = trace.sent_at(start_s, round(crossing.up_bytes)) + link.one_way_s
    return trace.sent_at(arrived_s, round(crossing.down_bytes)) + link.one_way_s - start_s
