"""Named ways to prepare pictures, for `--preprocess`; the size comes from the network's input."""

import difflib

import onnx_ir as ir

from isthmus.contract.prepare import Preparation
from isthmus.errors import ExportError, UsageError
from isthmus.export.graph import data_inputs, dimensions, name_of

DEFAULT = "unit"

PRESETS: dict[str, Preparation] = {
    "unit": Preparation(width=1, height=1),
    "imagenet": Preparation(width=1, height=1, fit="crop", mean=(0.485, 0.456, 0.406), standard_deviation=(0.229, 0.224, 0.225)),
    "centred": Preparation(width=1, height=1, mean=(0.5, 0.5, 0.5), standard_deviation=(0.5, 0.5, 0.5)),
    "bytes": Preparation(width=1, height=1, scale=1.0),
    "yolox": Preparation(width=1, height=1, fit="letterbox", colour="bgr", scale=1.0),
    "yolo": Preparation(width=1, height=1, fit="letterbox"),
    "grey": Preparation(width=1, height=1, colour="grey", mean=(0.0,), standard_deviation=(1.0,)),
}
"""`unit`: RGB 0..1, stretched. `imagenet`: centre crop, mean and deviation of ImageNet. `centred`: -1..1. `bytes`: 0..255.
`yolox`: letterbox, BGR, 0..255. `yolo`: letterbox, RGB, 0..1. `grey`: one channel, 0..1."""


def choose(name: str | None, model: ir.Model) -> Preparation:
    """The preset `name` at the size of the model's picture input.

    Args:
        name: a key of PRESETS; None takes `unit`, or `grey` for one channel.
        model: its first input must be float[batch, 1 or 3, row, column] with fixed rows and columns.

    Raises:
        UsageError: no such preset.
        ExportError: the input is not a picture, or the preset has another number of channels.
    """
    given = data_inputs(model.graph)
    shape = dimensions(given[0]) if len(given) == 1 else None
    if shape is None or len(shape) != 4 or shape[1] not in (1, 3):
        listed = ", ".join(f"{name_of(value)} {value.shape}" for value in given)
        raise ExportError(
            f"this version makes bundles of networks with one picture input [batch, 1 or 3, row, column]; this one takes {listed}"
        )
    if shape[0] != 1:
        raise ExportError(
            f"{name_of(given[0])} takes batches of {shape[0]} only; export the network with a free batch, or with 1"
        )
    preset = name or ("grey" if shape[1] == 1 else DEFAULT)
    if preset not in PRESETS:
        near = difflib.get_close_matches(preset, PRESETS, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise UsageError(f"there is no preprocessing {preset!r}; known: {', '.join(PRESETS)}{hint}")
    preparation = PRESETS[preset].model_copy(update={"height": shape[2], "width": shape[3]})
    if preparation.channels != shape[1]:
        raise ExportError(f"preprocessing {preset!r} gives {preparation.channels} channels, the network takes {shape[1]}")
    return preparation
