"""What a network link does to bytes, as one fact and as one line of text.

The text is `RATE[/ROUND_TRIP[/JITTER]][!START+DURATION]...`:

    5mbit/20ms          5 Mbit/s each way, 20 ms added to the round trip (half of it each way)
    5mbit/20ms/3ms      the same, the round trip varying by up to 3 ms up or down; `5mbit/20ms±3ms` is read too
    unlimited           nothing is slowed
    1mbit/40ms!10s+3s   nothing passes from second 10 to second 13

Rates are kbit, mbit or gbit (powers of ten, per second), times us, ms or s.
"""

import math
import re
from dataclasses import dataclass, field
from decimal import Decimal

from isthmus.errors import UsageError

# Powers of ten, largest first: the canonical text takes the first unit that leaves a number of 1 or more.
_RATE_UNITS = {"gbit": 9, "mbit": 6, "kbit": 3}
_TIME_UNITS = {"s": 0, "ms": -3, "us": -6}
_AMOUNT = re.compile(r"(\d{1,40}(?:\.\d{1,40})?)([a-z]+)", re.ASCII)
_UNLIMITED = "unlimited"
_EXAMPLE = "write it like 5mbit/20ms, 5mbit/20ms/3ms or unlimited"


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkProfile:
    """One link, alike in both directions.

    Attributes:
        name: what reports call it; two profiles that differ only in name are equal.
        rate_bit_s: bits of TCP payload per second and direction; None for no limit.
        round_trip_s: delay the link adds to a round trip, half of it each way.
        jitter_s: most by which that round trip varies, up or down.
        outages: (start, duration) in seconds since the profile took effect; nothing passes meanwhile.

    Raises:
        UsageError: a value is negative, not finite, or the jitter exceeds the round trip.
    """

    name: str = field(default="", compare=False)
    rate_bit_s: float | None = None
    round_trip_s: float = 0.0
    jitter_s: float = 0.0
    outages: tuple[tuple[float, float], ...] = ()

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

    @property
    def one_way_s(self) -> float:
        """Delay of one direction, jitter aside."""
        return self.round_trip_s / 2

    def __str__(self) -> str:
        """Return the canonical text; `parse` gives an equal profile back."""
        rate = _UNLIMITED if self.rate_bit_s is None else _format(self.rate_bit_s, _RATE_UNITS)
        delays = [_format(self.round_trip_s, _TIME_UNITS)] if self.round_trip_s or rate != _UNLIMITED else []
        if self.jitter_s:
            delays.append(_format(self.jitter_s, _TIME_UNITS))
        outages = "".join(
            f"!{_format(start_s, _TIME_UNITS)}+{_format(duration_s, _TIME_UNITS)}" for start_s, duration_s in self.outages
        )
        return "/".join([rate, *delays]) + outages


def parse(text: str) -> LinkProfile:
    """Read a profile from its text.

    >>> parse("5mbit/20ms±3ms").jitter_s
    0.003
    >>> str(parse("5000kbit / 0.02s"))
    '5mbit/20ms'

    Args:
        text: see the head of this module; case and spaces do not matter.

    Returns:
        The profile, named by its canonical text.

    Raises:
        UsageError: the text is not of that form, or a value is out of range.
    """
    link, *outages = "".join(text.lower().split()).split("!")
    rate, *delays = link.replace("±", "/").split("/")
    if len(delays) > 2:
        raise UsageError(f"link {text!r} has {len(delays) + 1} parts, at most 3 are known; {_EXAMPLE}")
    times_s = [_parse_amount(delay, _TIME_UNITS, text) for delay in delays]
    facts = LinkProfile(
        rate_bit_s=None if rate == _UNLIMITED else _parse_amount(rate, _RATE_UNITS, text),
        round_trip_s=times_s[0] if times_s else 0.0,
        jitter_s=times_s[1] if len(times_s) > 1 else 0.0,
        outages=tuple(_parse_outage(outage, text) for outage in outages),
    )
    return LinkProfile(
        name=str(facts),
        rate_bit_s=facts.rate_bit_s,
        round_trip_s=facts.round_trip_s,
        jitter_s=facts.jitter_s,
        outages=facts.outages,
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
