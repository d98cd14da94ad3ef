"""The choices that a bundle offers, with the figures in its `evaluation.json`.

`isthmus export --data` writes those of the operating points and of the networks that run on the device; what `isthmus evaluate
--json` prints can take their place, with figures of compressed pictures. A picture setting without figures is taken to be worth
what the unsplit network is. No signature covers that file: it can make a device choose badly, but not answer wrongly.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from isthmus.contract import small_file
from isthmus.contract.bundle import Bundle
from isthmus.errors import BundleError, ConfigError
from isthmus.head.control.choice import DEVICE_S, Choice

FILE = "evaluation.json"
_SIZE_MAX = 4 * 1024 * 1024
_PICTURE_BYTES = 20_000.0
"""First guess of a picture that was not measured; the first one that is sent tells."""
_Row = Mapping[str, Any]


def offered(bundle: Bundle, pictures: Sequence[str], *, local: str | None) -> list[Choice]:
    """Every operating point, the picture settings, and the device alone.

    Args:
        bundle: what runs.
        pictures: settings as `jpeg-75`; left out where the bundle has no `whole.onnx`.
        local: setting of the network with which the device answers alone; None: it does not.

    Raises:
        ConfigError: nobody has measured what a choice is worth.
        BundleError: the figures cannot be read.
    """
    rows = _rows(bundle)
    points = {str(row["point"]): row for row in reversed(rows) if "point" in row}
    rivals = {(str(row["rival"]), str(row.get("setting"))): row for row in rows if "rival" in row}
    whole = rivals.get(("local", "whole"))
    found = []
    if local is not None:
        row = _needed(bundle, local, [rivals.get(("local", f"{local}.onnx")), rivals.get(("local", local))])
        found.append(Choice(placement="local", setting=local, accuracy=_accuracy(row), device_s=_device_s(row)))
    for point in bundle.manifest.points:
        row = _needed(bundle, f"the operating point {point.name}", [points.get(point.name)])
        found.append(_sending("split", point.name, row))
    for setting in pictures if bundle.has("whole.onnx") else ():
        name, _, quality = setting.partition("-")
        row = _needed(bundle, setting, [rivals.get((name, f"q{quality}")), whole])
        found.append(_sending("offload", setting, {**row, "device_ms": None} if row is whole else row))
    return found


def _rows(bundle: Bundle) -> Sequence[_Row]:
    path = bundle.folder / FILE
    try:
        rows = json.loads(small_file.read(path, size_max=_SIZE_MAX, error=BundleError))["rows"]
        if all(isinstance(row, dict) for row in rows):
            return list(rows)
    except FileNotFoundError:
        return []
    except (ValueError, KeyError, TypeError) as error:
        raise BundleError(f"{bundle.origin}: {FILE} cannot be read: {error}") from error
    raise BundleError(f"{bundle.origin}: {FILE} has rows that are no objects")


def _needed(bundle: Bundle, name: str, candidates: Iterable[_Row | None]) -> _Row:
    for row in candidates:
        if row is not None:
            return row
    raise ConfigError(
        f"{bundle.origin} does not say what {name} is worth, so nothing can be chosen by that; export it with --data, "
        "or name a placement"
    )


def _sending(placement: Any, setting: str, row: _Row) -> Choice:  # noqa: ANN401 - one of two literals
    size_bytes = _number(row, "bytes_mean", 0.0) or _PICTURE_BYTES
    return Choice(placement=placement, setting=setting, accuracy=_accuracy(row), size_bytes=size_bytes, device_s=_device_s(row))


def _accuracy(row: _Row) -> float:
    metric = row.get("metric")
    return _number(metric if isinstance(metric, dict) else {}, "value", 0.0)


def _device_s(row: _Row) -> float:
    return _number(row, "device_ms", 1e3 * DEVICE_S) / 1e3


def _number(row: _Row, name: str, otherwise: float) -> float:
    value = row.get(name)
    return float(value) if isinstance(value, int | float) and value >= 0 else otherwise
