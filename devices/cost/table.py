"""A cost table: what a bundle's networks take on one device, at every stage and at every cut. One JSON file beside the bundle."""

import json
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from isthmus.devices.cost.kernel import Kernel
from isthmus.devices.cost.speed import Speed
from isthmus.errors import ConfigError


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Device(_Part):
    """Where the costs hold.

    Attributes:
        profile: name of its profile.
        cpu_model: as the kernel calls it; empty where the costs are predicted.
        architecture: as `uname -m` says it.
        threads: of onnxruntime.
        provider: execution provider of the networks.
        onnxruntime: its version.
        speed: of one core, as measured; None where the costs are predicted.
    """

    profile: str
    cpu_model: str
    architecture: str
    threads: int = Field(ge=1)
    provider: str
    onnxruntime: str
    speed: Speed | None = None


class Seconds(_Part):
    """A duration: measured, the median with the 5th and 95th percentile; predicted, the estimate with its bounds."""

    value: float = Field(ge=0)
    low: float = Field(ge=0)
    high: float = Field(ge=0)


class Payload(_Part):
    """Bytes of a frame over the frames of a source."""

    mean: float = Field(ge=0)
    median: float = Field(ge=0)


class NetworkCost(_Part):
    """One network of the bundle.

    Attributes:
        total: of a run.
        kernels: in order; together they take `total.value`.
        resident_bytes: by which a process grows that loads and runs it; None where that is not known.
    """

    total: Seconds
    kernels: tuple[Kernel, ...]
    resident_bytes: int | None = None


class CutCost(_Part):
    """One place to cut the unsplit network.

    Attributes:
        index: number of the cut, as `isthmus cuts` prints it.
        tensors: what crosses.
        bytes: of it as stored, at batch 1; None if unknown.
        values: how many numbers; None if unknown.
        flops_share: of the network's FLOPs before it.
        before: seconds up to there.
        after: seconds from there on, on the same device.
    """

    index: int
    tensors: tuple[str, ...]
    bytes: int | None
    values: int | None
    flops_share: float
    before: Seconds
    after: Seconds


class Prediction(_Part):
    """Why a table that nobody measured may be believed, and how far.

    Attributes:
        from_profile: device that was measured.
        from_cpu: its processor.
        method: how its times were carried over.
        error: what is known of the error.
    """

    from_profile: str
    from_cpu: str
    method: str
    error: str


class CostTable(_Part):
    """Costs of one bundle on one device.

    Attributes:
        version: of this form.
        kind: `measured` or `predicted`.
        bundle: id of the bundle.
        contract_digest: of the bundle.
        created: date and time.
        device: where.
        stages: name -> what a frame takes there, in the order in which it passes.
        payload_bytes: operating point or picture setting -> payload of the frames that stages were timed on.
        networks: file in the bundle -> its cost.
        cuts: of the unsplit network; empty where the exporter was not installed.
        cut_error: by how much of the unsplit network's time `before` of a cut differed at most from heads that were cut there and
            timed; None where none were.
        steady: whether the machine stayed the same meanwhile.
        unsteady_because: why not.
        prediction: of a predicted table.
    """

    version: Literal[1] = 1
    kind: Literal["measured", "predicted"]
    bundle: str
    contract_digest: str
    created: str
    device: Device
    stages: dict[str, Seconds]
    payload_bytes: dict[str, Payload] = {}
    networks: dict[str, NetworkCost]
    cuts: tuple[CutCost, ...] = ()
    cut_error: float | None = None
    steady: bool
    unsteady_because: tuple[str, ...] = ()
    prediction: Prediction | None = None


def path_beside(bundle: Path, profile: str | None = None) -> Path:
    """Where a bundle's table lies: `model.costs.json` beside `model.isthmus`, and `model.costs.rpi4.json` for a device by name.

    >>> str(path_beside(Path("models/digits.isthmus"), "rpi4"))
    'models/digits.costs.rpi4.json'
    """
    name = ".".join(filter(None, [bundle.resolve().name.removesuffix(".isthmus"), "costs", profile, "json"]))
    return bundle.parent / name


def read(path: Path) -> CostTable:
    """Read a table.

    Raises:
        ConfigError: missing, not JSON, of another version, or a field is missing or wrong.
    """
    try:
        return CostTable.model_validate(json.loads(path.read_bytes()))
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}; `isthmus bench BUNDLE --profile` writes it") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise ConfigError(
            f"{path} is no cost table: {place[:80]!r}: {first['msg'][:200]}; measure again with --profile"
        ) from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path} is not JSON ({error})") from error
