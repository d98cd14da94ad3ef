"""An amount of energy with all that has to be known to believe it."""

from dataclasses import dataclass, replace
from typing import Any, Literal

from isthmus.devices.sensors.power import Scope
from isthmus.errors import DeviceError

SINGLE_RATE_MIN_HZ = 350.0
"""Below this rate the energy of a single inference is not told: it takes some ten milliseconds, and three samples are the least
that show more than its ends. Slower sensors integrate over many inferences."""
SAMPLES_MIN = 10
"""Fewer new values than this in an interval tell an amount that is mostly the luck of its ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Energy:
    """Energy over an interval, or the share of one inference in it.

    Attributes:
        kind: `measured` by a sensor, or `modelled` from utilisation.
        joules: the amount.
        doubt_j: the true amount lies within `joules` plus or minus this, as far as the samples tell; the error of the sensor
            itself comes on top, see `note`. None where nothing bounds it, as for a model.
        source: sensor or model.
        scope: what is counted.
        rate_hz: new values a second in the interval; None for a model.
        samples: new values in the interval; None for a model.
        duration_s: length of the interval.
        inferences: how many share `joules`; 1 after `per_inference`, 0 where none were counted.
        idle_w: power without work, as measured around the interval; None where it was not.
        above_idle_j: `joules` less what the machine would have taken idle.
        above_idle_doubt_j: as `doubt_j`, with what idle power drifted.
        note: what else limits the amount.
    """

    kind: Literal["measured", "modelled"]
    joules: float
    doubt_j: float | None
    source: str
    scope: Scope
    rate_hz: float | None
    samples: int | None
    duration_s: float
    inferences: int = 0
    idle_w: float | None = None
    above_idle_j: float | None = None
    above_idle_doubt_j: float | None = None
    note: str = ""

    @property
    def watts(self) -> float:
        """Mean power."""
        return self.joules / self.duration_s

    @property
    def watts_doubt(self) -> float:
        """Doubt of the mean power; 0 where none is known."""
        return (self.doubt_j or 0.0) / self.duration_s

    def per_inference(self, count: int) -> "Energy":
        """What one of `count` equal inferences in the interval took.

        Raises:
            DeviceError: the sensor is too slow to say so.
        """
        if count < 1:
            raise DeviceError("energy per inference of no inference; answer at least one")
        if self.kind == "measured":
            self._check_rate(count)
        return replace(
            self,
            joules=self.joules / count,
            doubt_j=_divided(self.doubt_j, count),
            duration_s=self.duration_s / count,
            inferences=1,
            above_idle_j=_divided(self.above_idle_j, count),
            above_idle_doubt_j=_divided(self.above_idle_doubt_j, count),
        )

    def with_note(self, note: str) -> "Energy":
        """The same with one more thing to know."""
        return replace(self, note=", ".join(filter(None, [note, self.note])))

    def _check_rate(self, count: int) -> None:
        rate_hz, samples = self.rate_hz or 0.0, self.samples or 0
        if count == 1 and rate_hz < SINGLE_RATE_MIN_HZ:
            raise DeviceError(
                f"{self.source} gives {rate_hz:.3g} new values a second, a single inference needs {SINGLE_RATE_MIN_HZ:g}; "
                "measure over many inferences and divide"
            )
        if count > 1 and samples < SAMPLES_MIN:
            raise DeviceError(
                f"{self.source} gave {samples} new values in {self.duration_s:.3g} s, {SAMPLES_MIN} are needed; measure longer"
            )

    def as_json(self) -> dict[str, Any]:
        """For result files: every number beside what it is a number of."""
        return {
            "kind": self.kind,
            "value": self.joules,
            "low": None if self.doubt_j is None else max(0.0, self.joules - self.doubt_j),
            "high": None if self.doubt_j is None else self.joules + self.doubt_j,
            "above_idle": self.above_idle_j,
            "above_idle_doubt": self.above_idle_doubt_j,
            "idle_w": self.idle_w,
            "source": self.source,
            "scope": self.scope,
            "rate_hz": self.rate_hz,
            "samples": self.samples,
            "duration_s": self.duration_s,
            "note": self.note,
        }


def above_idle(work: Energy, before: Energy, after: Energy) -> Energy:
    """Take away what the machine takes anyway.

    Idle power drifts with temperature and fan: half of its change between before and after is doubt.

    Args:
        work: over the interval with work in it.
        before: idle, before it, of the same sensors.
        after: idle, after it.
    """
    idle_w = (before.watts + after.watts) / 2
    drift_w = abs(after.watts - before.watts) / 2 + (before.watts_doubt + after.watts_doubt) / 2
    return replace(
        work,
        idle_w=idle_w,
        above_idle_j=work.joules - idle_w * work.duration_s,
        above_idle_doubt_j=(work.doubt_j or 0.0) + drift_w * work.duration_s,
    )


def _divided(amount: float | None, count: int) -> float | None:
    return None if amount is None else amount / count
