"""What a network link does to bytes, as one fact and as one line of text.

The text is `RATE[/ROUND_TRIP[/JITTER]][!START+DURATION]...`:

    5mbit/20ms          5 Mbit/s each way, 20 ms added to the round trip (half of it each way)
    5mbit/20ms/3ms      the same, the round trip varying by up to 3 ms up or down; `5mbit/20ms±3ms` is read too
    unlimited           nothing is slowed
    1mbit/40ms!10s+3s   nothing passes from second 10 to second 13
    trace:lte.down/40ms      the rate over time out of that file, over and over; see `rate_trace` for what is read
    trace:lte.down@90s/40ms  the same from second 90 of the file on

Rates are kbit, mbit or gbit (powers of ten, per second), times us, ms or s. A file whose name ends like a time or an outage is
told apart by writing all parts: `trace:FILE@0s/0ms/0ms`.
"""

import math
import re
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path

from isthmus.devices.rate_trace import RateTrace, read_trace
from isthmus.errors import UsageError

# Powers of ten, largest first: the canonical text takes the first unit that leaves a number of 1 or more.
_RATE_UNITS = {"gbit": 9, "mbit": 6, "kbit": 3}
_TIME_UNITS = {"s": 0, "ms": -3, "us": -6}
_AMOUNT = re.compile(r"(\d{1,40}(?:\.\d{1,40})?)([a-z]+)", re.ASCII)
_UNLIMITED = "unlimited"
_EXAMPLE = "write it like 5mbit/20ms, 5mbit/20ms/3ms, trace:FILE/20ms or unlimited"
_TRACE = re.compile(
    r"trace:(?P<file>.+?)(?:@(?P<offset>[\d.]+[a-z]+))?(?P<delays>(?:[/±][\d.]+[a-z]+){0,2})(?P<outages>(?:![\d.]+[a-z]+\+[\d.]+[a-z]+)*)",
    re.ASCII | re.DOTALL,
)
"""The shortest file name that leaves what can be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkProfile:
    """One link, alike in both directions.

    Attributes:
        name: what reports call it; two profiles that differ only in name are equal.
        rate_bit_s: bits of TCP payload per second and direction; None for no limit, or that of `trace`.
        round_trip_s: delay the link adds to a round trip, half of it each way.
        jitter_s: most by which that round trip varies, up or down.
        outages: (start, duration) in seconds since the profile took effect; nothing passes meanwhile.
        trace: the rate over time; None where it is always the same.
        trace_file: where `trace` was read from.
        trace_offset_s: second of the trace at which the profile takes effect.

    Raises:
        UsageError: a value is negative, not finite, or the jitter exceeds the round trip; there is a rate and a trace.
    """

    name: str = field(default="", compare=False)
    rate_bit_s: float | None = None
    round_trip_s: float = 0.0
    jitter_s: float = 0.0
    outages: tuple[tuple[float, float], ...] = ()
    trace: RateTrace | None = field(default=None, repr=False)
    trace_file: str = ""
    trace_offset_s: float = 0.0

    def __post_init__(self) -> None:
        if self.rate_bit_s is not None and not (math.isfinite(self.rate_bit_s) and self.rate_bit_s > 0):
            raise UsageError(f"link rate is {self.rate_bit_s} bit/s; it must be above 0, or unlimited")
        if not (math.isfinite(self.round_trip_s) and self.round_trip_s >= 0):
            raise UsageError(f"link round trip is {self.round_trip_s} s; it must be 0 or more")
        if not 0 <= self.jitter_s <= self.round_trip_s:
            raise UsageError(f"link jitter is {self.jitter_s} s; it must be between 0 and the {self.round_trip_s} s trip")
        for start_s, duration_s in self.outages:
            if not (math.isfinite(start_s) and math.isfinite(duration_s) and start_s >= 0 and duration_s > 0):
                raise UsageError(f"outage of {duration_s} s at {start_s} s; start must be 0 or more, duration above 0")
        if self.trace is not None and self.rate_bit_s is not None:
            raise UsageError(f"link has the rate {self.rate_bit_s} bit/s and a trace; give one of them")
        if not (math.isfinite(self.trace_offset_s) and self.trace_offset_s >= 0):
            raise UsageError(f"trace begins at {self.trace_offset_s} s; it must be 0 or more")

    @property
    def one_way_s(self) -> float:
        """Delay of one direction, jitter aside."""
        return self.round_trip_s / 2

    @property
    def mean_rate_bit_s(self) -> float | None:
        """Bits of TCP payload per second and direction in the long run; None for no limit."""
        return self.rate_bit_s if self.trace is None else self.trace.mean_rate_bit_s

    def __str__(self) -> str:
        """Return the canonical text; `parse` gives an equal profile back."""
        outages = "".join(
            f"!{_format(start_s, _TIME_UNITS)}+{_format(duration_s, _TIME_UNITS)}" for start_s, duration_s in self.outages
        )
        if self.trace is not None:
            times = [_format(value, _TIME_UNITS) for value in (self.trace_offset_s, self.round_trip_s, self.jitter_s)]
            return f"trace:{self.trace_file}@{'/'.join(times)}{outages}"
        rate = _UNLIMITED if self.rate_bit_s is None else _format(self.rate_bit_s, _RATE_UNITS)
        delays = [_format(self.round_trip_s, _TIME_UNITS)] if self.round_trip_s or rate != _UNLIMITED else []
        if self.jitter_s:
            delays.append(_format(self.jitter_s, _TIME_UNITS))
        return "/".join([rate, *delays]) + outages


def parse(text: str) -> LinkProfile:
    """Read a profile from its text.

    >>> parse("5mbit/20ms±3ms").jitter_s
    0.003
    >>> str(parse("5000kbit / 0.02s"))
    '5mbit/20ms'

    Args:
        text: see the head of this module; case and spaces do not matter, but in the name of a file.

    Returns:
        The profile, named by its canonical text.

    Raises:
        UsageError: the text is not of that form, a value is out of range, or the trace cannot be read.
    """
    facts = _parse_trace(text.strip()) if text.lstrip().startswith("trace:") else _parse_rate(text)
    return replace(facts, name=str(facts))


def _parse_rate(text: str) -> LinkProfile:
    link, *outages = "".join(text.lower().split()).split("!")
    rate, *delays = link.replace("±", "/").split("/")
    if len(delays) > 2:
        raise UsageError(f"link {text!r} has {len(delays) + 1} parts, at most 3 are known; {_EXAMPLE}")
    rate_bit_s = None if rate == _UNLIMITED else _parse_amount(rate, _RATE_UNITS, text)
    return replace(_parse_times(delays, outages, text), rate_bit_s=rate_bit_s)


def _parse_trace(text: str) -> LinkProfile:
    match = _TRACE.fullmatch(text)
    if match is None:
        raise UsageError(f"link {text!r} names no file; {_EXAMPLE}")
    delays = match["delays"].replace("±", "/").split("/")[1:]
    outages = match["outages"].split("!")[1:]
    return replace(
        _parse_times(delays, outages, text),
        trace=read_trace(Path(match["file"])),
        trace_file=match["file"],
        trace_offset_s=_parse_amount(match["offset"], _TIME_UNITS, text) if match["offset"] else 0.0,
    )


def _parse_times(delays: list[str], outages: list[str], text: str) -> LinkProfile:
    """A profile of round trip and jitter, where they are given, and outages."""
    round_trip_s, jitter_s, *_ = [*(_parse_amount(delay, _TIME_UNITS, text) for delay in delays), 0.0, 0.0]
    return LinkProfile(
        round_trip_s=round_trip_s, jitter_s=jitter_s, outages=tuple(_parse_outage(outage, text) for outage in outages)
    )


def _parse_outage(outage: str, text: str) -> tuple[float, float]:
    start, plus, duration = outage.partition("+")
    if not plus:
        raise UsageError(f"link {text!r} has the outage {outage!r}; write it like !10s+3s, start and duration")
    return _parse_amount(start, _TIME_UNITS, text), _parse_amount(duration, _TIME_UNITS, text)


def _parse_amount(amount: str, units: dict[str, int], text: str) -> float:
    match = _AMOUNT.fullmatch(amount)
    if match is None or match[2] not in units:
        raise UsageError(f"link {text!r}: {amount!r} is not a number of {', '.join(reversed(units))}; {_EXAMPLE}")
    return float(Decimal(match[1]).scaleb(units[match[2]]))


def _format(value: float, units: dict[str, int]) -> str:
    # Decimal of the shortest text of the float: moving the point is then exact, and reading gives the same float.
    number = Decimal(repr(float(value)))
    # Zero is written in milliseconds, and what is below the smallest unit in that unit.
    least = "ms" if not value else list(units)[-1]
    unit = next((unit for unit, power in units.items() if number >= Decimal(1).scaleb(power)), least)
    return f"{number.scaleb(-units[unit]).normalize():f}{unit}"
