"""What the `preprocessor_config.json` of a Hugging Face folder says about pictures, as a `Preparation`.

Only numbers are read; the image processor itself (which would want torchvision) never runs. Resize filters that OpenCV has under
another name are mapped to it; a resize to a margin before a centre crop becomes a centre crop of the same shape, for the
preparation has no margin.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeAlias

from pydantic import ValidationError

from isthmus.contract.prepare import Preparation
from isthmus.errors import ExportError

FILES = ("preprocessor_config.json", "processor_config.json")
"""In this order; newer folders keep the image processor inside the second."""

Settings: TypeAlias = Mapping[str, Any]

_INTERPOLATION: dict[int, Literal["nearest", "bilinear", "bicubic", "area"]] = {
    0: "nearest",
    1: "bicubic",
    2: "bilinear",
    3: "bicubic",
    4: "area",
    5: "bilinear",
}
"""PIL's numbers: nearest, Lanczos, bilinear, bicubic, box, Hamming."""


def read(folder: Path) -> Settings | None:
    """The settings of the image processor, or None where the folder has none.

    Raises:
        ExportError: the file is damaged.
    """
    for name in FILES:
        path = folder / name
        if path.is_file():
            settings = read_json(path)
            inner = settings.get("image_processor", settings)
            if isinstance(inner, dict) and ("image_mean" in inner or "do_rescale" in inner or "do_resize" in inner):
                return inner
    return None


def read_json(path: Path) -> dict[str, Any]:
    """An object from a JSON file.

    Raises:
        ExportError: it cannot be read, or holds something else.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as reason:
        raise ExportError(f"{path} cannot be read as JSON: {reason}") from reason
    if not isinstance(content, dict):
        raise ExportError(f"{path} holds {type(content).__name__}, not an object")
    return content


def size(settings: Settings | None, config: Settings) -> tuple[int, int] | None:
    """Rows and columns at which the model works: of the crop, else of the resize, else of the model's configuration."""
    crop = (settings or {}).get("crop_size") if (settings or {}).get("do_center_crop") else None
    inner = config.get("backbone_config") or {}
    for given in (crop, (settings or {}).get("size"), config.get("image_size"), inner.get("image_size")):
        found = _rows_and_columns(given)
        if found is not None:
            return found
    return None


def _rows_and_columns(given: object) -> tuple[int, int] | None:
    if isinstance(given, int) and given > 0:
        return given, given
    if isinstance(given, (list, tuple)) and len(given) == 2:
        return int(given[0]), int(given[1])
    if isinstance(given, dict):
        if "height" in given and "width" in given:
            return int(given["height"]), int(given["width"])
        side = given.get("shortest_edge", given.get("longest_edge"))
        return (int(side), int(side)) if side else None
    return None


def preparation(settings: Settings, rows: int, columns: int, channels: int, origin: str) -> Preparation:
    """What the settings say, at a size.

    Args:
        settings: see `read`.
        rows: of the prepared picture.
        columns: of the prepared picture.
        channels: 1 or 3, of the prepared picture.
        origin: the folder, for messages.

    Raises:
        ExportError: values that make no sense.
    """
    normalises, rescales = settings.get("do_normalize", True), settings.get("do_rescale", True)
    bgr = settings.get("do_flip_channel_order", False)
    try:
        scale = float(settings.get("rescale_factor", 1 / 255)) if rescales else 1.0
        mean, deviation = (
            _per_channel(settings.get(key) if normalises else None, usual, channels)
            for key, usual in (("image_mean", 0.0), ("image_std", 1.0))
        )
        # EfficientNet's offset subtracts one after scaling, before the mean.
        offset = 1.0 if settings.get("rescale_offset") and rescales else 0.0
        return Preparation(
            width=columns,
            height=rows,
            colour="grey" if channels == 1 else "bgr" if bgr else "rgb",
            fit="crop" if settings.get("do_center_crop") or settings.get("crop_pct") else "stretch",
            interpolation=_INTERPOLATION.get(settings.get("resample", 2), "bilinear"),
            scale=scale,
            mean=tuple(value + offset for value in mean),
            standard_deviation=deviation,
        )
    except (TypeError, ValueError, ValidationError) as reason:
        lines = str(reason).strip().splitlines()
        raise ExportError(
            f"{origin}: the settings of the image processor make no sense: {lines[-1] if lines else reason}"
        ) from reason


def _per_channel(given: object, usual: float, channels: int) -> tuple[float, ...]:
    if given is None:
        return (usual,) * channels
    values = [given] if isinstance(given, (int, float)) else list(given)  # type: ignore[call-overload]
    return tuple(float(value) for value in (values * channels if len(values) == 1 else values))
