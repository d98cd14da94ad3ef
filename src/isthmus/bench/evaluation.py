"""`evaluation.json` of a bundle: accuracy and bytes of its points beside rivals, as `isthmus evaluate` measured them.

It is not covered by the signature and is only shown.
"""

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from isthmus.contract.metric import Metric
from isthmus.errors import ConfigError

FILE_NAME = "evaluation.json"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class Rated(_Part):
    """An operating point, or a rival at one setting."""

    point: str | None = None
    rival: str | None = None
    setting: str = ""
    bytes_mean: float = Field(ge=0)
    metric: Metric
    device_ms: float | None = Field(default=None, ge=0)
    """Median time of the device's network; None where it runs none."""

    @property
    def series(self) -> str:
        """What it is drawn with: `split`, `local`, or the picture's format with the size it was shrunk to.

        >>> Rated.series.fget(Rated.model_construct(point=None, rival="webp", setting="q50@64x64"))
        'webp 64x64'
        """
        if self.rival is None:
            return "split"
        size = self.setting.partition("@")[2]
        return f"{self.rival} {size}".strip()

    @property
    def label(self) -> str:
        """For people.

        >>> Rated.label.fget(Rated.model_construct(rival="local", setting="local.onnx"))
        'local, own network'
        """
        if self.rival is None:
            return f"split {self.point}"
        return "local, own network" if self.setting == "local.onnx" else f"{self.rival} {self.setting}".strip()


class Evaluation(_Part):
    """The whole file."""

    meta: dict[str, Any] = Field(default_factory=dict)
    rows: tuple[Rated, ...]


def read(folder: Path) -> Evaluation | None:
    """Read the evaluation of an opened bundle; None where it has none.

    Raises:
        ConfigError: there is one, and it cannot be read.
    """
    path = folder / FILE_NAME
    return read_file(path) if path.exists() else None


def read_file(path: Path) -> Evaluation:
    """Read what `isthmus evaluate --json` printed into a file.

    Raises:
        ConfigError: it cannot be read.
    """
    try:
        return Evaluation.model_validate(json.loads(path.read_bytes()))
    except (OSError, ValueError, RecursionError) as error:
        why = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
        raise ConfigError(f"{path} cannot be read: {why[:200]}") from error
