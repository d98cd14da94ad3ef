"""Named ways to prepare pictures, for `--preprocess`; the size comes from the network's input."""

import difflib
from typing import Literal

import onnx_ir as ir

from isthmus.contract.prepare import Preparation
from isthmus.errors import ExportError, UsageError
from isthmus.export.graph.flow import PICTURE_CHANNELS, data_inputs, dimensions, name_of

DEFAULT = "unit"

PRESETS: dict[str, Preparation] = {
    "unit": Preparation(width=1, height=1),
    "imagenet": Preparation(width=1, height=1, fit="crop", mean=(0.485, 0.456, 0.406), standard_deviation=(0.229, 0.224, 0.225)),
    "centred": Preparation(width=1, height=1, mean=(0.5, 0.5, 0.5), standard_deviation=(0.5, 0.5, 0.5)),
    "bytes": Preparation(width=1, height=1, scale=1.0),
    "yolox": Preparation(width=1, height=1, fit="letterbox", colour="bgr", scale=1.0),
    "yolo": Preparation(width=1, height=1, fit="letterbox"),
    "fastestdet": Preparation(width=1, height=1, colour="bgr"),
    "detr": Preparation(width=1, height=1, mean=(0.485, 0.456, 0.406), standard_deviation=(0.229, 0.224, 0.225)),
    "grey": Preparation(width=1, height=1, colour="grey", mean=(0.0,), standard_deviation=(1.0,)),
}
"""`unit`: RGB 0..1, stretched. `imagenet`: centre crop, mean and deviation of ImageNet. `centred`: -1..1. `bytes`: 0..255.
`yolox`: letterbox, BGR, 0..255. `yolo`: letterbox, RGB, 0..1. `fastestdet`: BGR, 0..1, stretched. `detr`: ImageNet's mean and
deviation, stretched. `grey`: one channel, 0..1."""


def choose(name: str | None, model: ir.Model, *, suggested: Preparation | None = None) -> Preparation:
    """The preset `name` at the size of the model's picture input.

    Args:
        name: a key of PRESETS; None takes `suggested`, else `unit`, or `grey` for one channel.
        model: its one input must be [batch, 1 or 3, row, column] or [batch, row, column, 1 or 3] with fixed rows and columns.
        suggested: what the model itself brings, see `doors.source.Source.preparation`.

    Raises:
        UsageError: no such preset.
        ExportError: the input is not a picture, or the preset has another number of channels.
    """
    layout, channels, height, width = _picture(model)
    preparation = suggested if name is None and suggested is not None else _preset(name, channels)
    sized = preparation.model_copy(update={"height": height, "width": width, "layout": layout})
    if sized.channels != channels:
        chosen = f"preprocessing {name!r}" if name is not None else "the preprocessing that comes with the model"
        raise ExportError(f"{chosen} gives {sized.channels} channels, the network takes {channels}")
    return sized


def of_bytes(model: ir.Model) -> Preparation | None:
    """For a network whose pictures are bytes inside: 0..255 as they come; None where it takes no picture."""
    given = data_inputs(model.graph)
    shape = dimensions(given[0]) if len(given) == 1 else None
    layout = _layout(shape)
    if shape is None or layout is None:
        return None
    grey = shape[1 if layout == "nchw" else 3] == 1
    return PRESETS["grey"].model_copy(update={"scale": 1.0}) if grey else PRESETS["bytes"]


def _picture(model: ir.Model) -> tuple[Literal["nchw", "nhwc"], int, int, int]:
    """Layout, channels, rows and columns of the model's picture input; where both axes could be channels, axis 1 is."""
    given = data_inputs(model.graph)
    shape = dimensions(given[0]) if len(given) == 1 else None
    layout = _layout(shape)
    if shape is None or layout is None:
        listed = ", ".join(f"{name_of(value)} {value.shape}" for value in given)
        raise ExportError(
            "this version makes bundles of networks with one picture input [batch, 1 or 3, row, column] or "
            f"[batch, row, column, 1 or 3]; this one takes {listed}"
        )
    if shape[0] != 1:
        raise ExportError(
            f"{name_of(given[0])} takes batches of {shape[0]} only; export the network with a free batch, or with 1"
        )
    _batch, *sizes = shape
    channels, height, width = sizes if layout == "nchw" else (sizes[2], sizes[0], sizes[1])
    return layout, channels, height, width


def _layout(shape: tuple[int, ...] | None) -> Literal["nchw", "nhwc"] | None:
    if shape is None or len(shape) != 4:
        return None
    if shape[1] in PICTURE_CHANNELS:
        return "nchw"
    return "nhwc" if shape[3] in PICTURE_CHANNELS else None


def _preset(name: str | None, channels: int) -> Preparation:
    preset = name or ("grey" if channels == 1 else DEFAULT)
    if preset not in PRESETS:
        near = difflib.get_close_matches(preset, PRESETS, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise UsageError(f"there is no preprocessing {preset!r}; known: {', '.join(PRESETS)}{hint}")
    return PRESETS[preset]
