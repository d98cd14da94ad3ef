"""What answers are worth: accuracy and bytes of points, pictures and the unsplit network, as `isthmus evaluate` found them."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from isthmus.contract import small_file
from isthmus.contract.bundle import Bundle
from isthmus.contract.metric import Metric
from isthmus.errors import ConfigError

FILE = "evaluation.json"
_SIZE_MAX = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Worth:
    """One row.

    Attributes:
        metric: accuracy, agreement, or the like.
        bytes_mean: payload; 0 where nothing is sent.
    """

    metric: Metric
    bytes_mean: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """Figures of one bundle on one set of pictures.

    Attributes:
        data: the pictures, in words.
        points: operating point -> worth, with the head that the device runs.
        pictures: setting as `head.placement.Offload` names it, `webp-50@224x224`, -> worth.
        local: `whole` and, where the bundle has one, `local` -> worth.
    """

    data: str
    points: Mapping[str, Worth]
    pictures: Mapping[str, Worth]
    local: Mapping[str, Worth]

    @property
    def unsplit(self) -> Metric:
        """Of the network as it is, on the untouched picture."""
        return self.local["whole"].metric


def read(bundle: Bundle, file: Path | None = None) -> Evaluation:
    """Read the figures that lie in a bundle, or those that `isthmus evaluate --json` printed into a file.

    Raises:
        ConfigError: there are none, they cannot be read, or are of another bundle.
    """
    path = bundle.folder / FILE if file is None else file
    raw = _json(path, bundle)
    try:
        meta, rows = raw["meta"], raw["rows"]
        if file is not None and meta["contract_digest"] != bundle.digest:
            raise ConfigError(f"{file} is of another bundle than {bundle.origin}; run `isthmus evaluate {bundle.origin} --json`")
        found = Evaluation(
            data=f"{meta['data']}, {meta['samples']} pictures",
            # The first row of a point is of the head that the device prefers.
            points={row["point"]: _worth(row) for row in reversed(rows) if "point" in row},
            pictures=dict(_pictures(rows)),
            local={row["setting"].removesuffix(".onnx"): _worth(row) for row in rows if row.get("rival") == "local"},
        )
    except (KeyError, TypeError, AttributeError, ValidationError) as error:
        words = f"{type(error).__name__}: {error}".partition("\n")[0]
        raise ConfigError(f"{path} does not hold what `isthmus evaluate --json` prints ({words})") from error
    if "whole" not in found.local:
        raise ConfigError(f"{path} has no figures of the unsplit network; evaluate with --rivals local,jpeg,webp")
    return found


def _json(path: Path, bundle: Bundle) -> Any:  # noqa: ANN401 - whatever JSON is there
    try:
        return json.loads(small_file.read(path, size_max=_SIZE_MAX, error=ConfigError))
    except FileNotFoundError as error:
        raise ConfigError(
            f"{path} is not there, so nobody knows what {bundle.origin} is worth; "
            f"`isthmus evaluate {bundle.origin} --data PICTURES --json > FILE` measures that, --evaluation FILE takes it"
        ) from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path} is not JSON ({error})") from error


def _pictures(rows: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, Worth]]:
    for row in rows:
        name = row.get("rival")
        if name is not None and name != "local":
            # `q75@224x224` of the rival `jpeg` is what placements call `jpeg-75@224x224`.
            yield f"{name}-{row['setting'].removeprefix('q')}", _worth(row)


def _worth(row: Mapping[str, Any]) -> Worth:
    return Worth(metric=Metric.model_validate(row["metric"]), bytes_mean=float(row["bytes_mean"]))
