"""What is known beforehand of one kind of device."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from isthmus.devices.sensors.power import Scope


def _pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"{text!r} is no regular expression: {error}") from error
    return text


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Match(_Part):
    """How a machine of this kind is known.

    Attributes:
        board: a pattern somewhere in the model name of its device tree; empty for profiles of whatever has the architecture.
        architecture: as `uname -m` says it.
    """

    board: Annotated[str, AfterValidator(_pattern)] = ""
    architecture: Literal["x86_64", "aarch64"]


class Cores(_Part):
    """The processor; None where kinds differ.

    Attributes:
        count: of its cores.
        model: what they are.
        clock_mhz: the highest.
        flops_per_cycle: float32 operations that one core does at most in a cycle, 2 for a multiply-add.
        source: of these figures.
    """

    count: int | None = Field(default=None, ge=1)
    model: str | None = None
    clock_mhz: float | None = Field(default=None, gt=0)
    flops_per_cycle: float | None = Field(default=None, gt=0)
    source: str = ""

    @property
    def peak_flops_per_s(self) -> float | None:
        """Of one core."""
        if self.clock_mhz is None or self.flops_per_cycle is None:
            return None
        return self.clock_mhz * 1e6 * self.flops_per_cycle


class Memory(_Part):
    """Memory bandwidth in bytes a second as its makers state it, and where they do."""

    bandwidth_bytes_per_s: float = Field(gt=0)
    source: str


class ExpectedPower(_Part):
    """A power sensor that a machine of this kind has.

    Attributes:
        source: as `PowerSensor.source`.
        name: a pattern of `PowerSensor.name`.
        scope: what it counts.
        missing: what to do where it is not found.
    """

    source: Literal["rapl", "hwmon", "iio", "pmic", "battery"]
    name: Annotated[str, AfterValidator(_pattern)]
    scope: Scope
    missing: str


class Sensors(_Part):
    """Where a machine of this kind measures itself; paths below the root, for people.

    Attributes:
        power: any one of these suffices.
        temperature: file of the processor's temperature.
        throttling: file or question that tells of throttling.
    """

    power: tuple[ExpectedPower, ...] = ()
    temperature: str = ""
    throttling: str = ""


class PowerModel(_Part):
    """Power from idle to all cores busy, for machines without a sensor.

    Attributes:
        idle_w: nothing runs.
        busy_w: all cores are busy.
        scope: what the figures count.
        source: who published them, and how they were measured.
        checked: how far they were checked.
    """

    idle_w: float = Field(gt=0)
    busy_w: float = Field(gt=0)
    scope: Scope
    source: str
    checked: str


class Profile(_Part):
    """One kind of device.

    Attributes:
        name: how it is asked for.
        title: how people call it.
        checked: how far this profile was checked on real hardware.
        match: how a machine of this kind is known.
        cores: its processor.
        memory: its bandwidth, where it is one.
        providers: execution providers of onnxruntime that may work there, best first.
        sensors: where it measures itself.
        power: a model in place of a power sensor.
        notes: what else a user should know.
    """

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")
    title: str
    checked: str
    match: Match
    cores: Cores = Cores()
    memory: Memory | None = None
    providers: tuple[str, ...] = ("CPUExecutionProvider",)
    sensors: Sensors = Sensors()
    power: PowerModel | None = None
    notes: tuple[str, ...] = ()
