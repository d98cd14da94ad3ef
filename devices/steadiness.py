"""Did the machine stay the same while something was measured? A look before, a look after, and what speaks against the run.

An unsteady run may be kept, but it is no result: other programs, heat and changed clocks move latencies by more than what is
usually compared.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from isthmus.devices.sensors import clocks, load, memory, pressure, thermal, throttling
from isthmus.devices.sensors.readings import HOT_C

OTHERS_SHARE_MAX = 0.1
"""Of the machine's processor time. On two cores a tenth is a fifth of one core, enough to delay every fifth frame."""
WARMING_MAX_C = 10.0
"""A board that became so much warmer had not reached the temperature at which it works for long."""
STALLED_SHARE_MAX = 0.01
"""Of the run's time in which some task waited for memory: it was swapping or close to it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """One look; None and nothing where the machine does not tell.

    Attributes:
        time_s: of a clock that only rises.
        governors: who chooses clocks, each named once.
        clock_mhz: mean of the cores now.
        clock_limit_mhz: mean of what the cores may reach now.
        temperature_c: of the hottest zone.
        throttling: what slows the hardware.
        load: who used the processor so far.
        memory_available_bytes: what a program could still get.
        memory_waited_s: seconds in which tasks waited for memory, since the start.
    """

    time_s: float
    governors: tuple[str, ...]
    clock_mhz: float | None
    clock_limit_mhz: float | None
    temperature_c: float | None
    throttling: throttling.Throttling | None
    load: load.Load | None
    memory_available_bytes: int | None
    memory_waited_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Steadiness:
    """What two looks come to.

    Attributes:
        before: first look.
        after: second look.
        others_share: part of the machine's processor time between them that other programs took; None where it is not known.
        reasons: what makes the run unsteady, in words; none of it for a steady run.
        remarks: what does not, but should be known.
    """

    before: State
    after: State
    others_share: float | None
    reasons: tuple[str, ...]
    remarks: tuple[str, ...]

    @property
    def is_steady(self) -> bool:
        """Whether the run may be called a result."""
        return not self.reasons

    def as_json(self) -> dict[str, Any]:
        """For result files, in the types that JSON has: what is written equals what is read."""
        found: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return {"steady": self.is_steady, **found}


def look(time_s: float, root: Path = Path("/")) -> State:
    """Record the machine's state.

    Args:
        time_s: of the caller's clock.
        root: where `proc` and `sys` lie.
    """
    cores = clocks.clocks(root)
    waited = pressure.look(root).get("memory")
    return State(
        time_s=time_s,
        governors=tuple(sorted({core.governor for core in cores if core.governor})),
        clock_mhz=_mean_mhz([core.now_khz for core in cores]),
        clock_limit_mhz=_mean_mhz([core.limit_khz for core in cores]),
        temperature_c=thermal.hottest_c(root),
        throttling=throttling.look(root),
        load=load.look(root),
        memory_available_bytes=memory.look(root).available_bytes,
        memory_waited_s=None if waited is None else waited.waited_s,
    )


def compare(before: State, after: State) -> Steadiness:
    """What two looks come to."""
    others = None if before.load is None or after.load is None else load.others_share(before.load, after.load)
    return Steadiness(
        before=before,
        after=after,
        others_share=others,
        reasons=tuple(_reasons(before, after, others)),
        remarks=tuple(_remarks(before, after)),
    )


def _reasons(before: State, after: State, others: float | None) -> Iterator[str]:
    if others is not None and others > OTHERS_SHARE_MAX:
        yield f"other programs took {others:.0%} of the processor time, at most {OTHERS_SHARE_MAX:.0%} is steady; stop them"
    if before.governors != after.governors:
        yield f"the clock governor changed from {_listed(before.governors)} to {_listed(after.governors)}"
    if before.clock_limit_mhz and after.clock_limit_mhz and after.clock_limit_mhz < before.clock_limit_mhz:
        yield f"the clock's limit fell from {before.clock_limit_mhz:.0f} to {after.clock_limit_mhz:.0f} MHz"
    yield from _throttled(before.throttling, after.throttling)
    yield from _heat(before.temperature_c, after.temperature_c)
    span_s = after.time_s - before.time_s
    if before.memory_waited_s is not None and after.memory_waited_s is not None and span_s > 0:
        stalled = (after.memory_waited_s - before.memory_waited_s) / span_s
        if stalled > STALLED_SHARE_MAX:
            yield f"tasks waited for memory {stalled:.0%} of the time; free some"


def _throttled(before: throttling.Throttling | None, after: throttling.Throttling | None) -> Iterator[str]:
    if before is None or after is None:
        return
    if now := sorted({*before.now, *after.now}):
        yield f"the hardware slowed itself down: {', '.join(now)}; better supply or cooling"
    elif new := sorted(set(after.since_start) - set(before.since_start)):
        yield f"the hardware slowed itself down in between: {', '.join(new)}; better supply or cooling"
    if before.events is not None and after.events is not None and after.events > before.events:
        yield f"the processor counted {after.events - before.events} new throttling events; cool it"


def _heat(before_c: float | None, after_c: float | None) -> Iterator[str]:
    if before_c is None or after_c is None:
        return
    if max(before_c, after_c) >= HOT_C:
        yield f"it was {max(before_c, after_c):.0f} degrees hot, from {HOT_C:.0f} on devices slow down; cool it"
    elif after_c - before_c > WARMING_MAX_C:
        yield f"it went from {before_c:.0f} to {after_c:.0f} degrees; warm it up for longer first"


def _remarks(before: State, after: State) -> Iterator[str]:
    if after.governors and after.governors != ("performance",):
        yield f"clock governor {_listed(after.governors)}: clocks follow the load, `performance` is steadier"
    if not after.governors:
        yield "clocks are not visible here"
    if before.temperature_c is None:
        yield "temperature is not visible here"
    if before.throttling is None:
        yield "throttling is not visible here"
    if before.load is None:
        yield "what other programs did is not visible here"


def _mean_mhz(clocks_khz: list[int | None]) -> float | None:
    known = [clock for clock in clocks_khz if clock is not None]
    return sum(known) / len(known) / 1000 if known else None


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(names) or "none"
