"""Trained networks as files that a device runs: in floats, and in 8 bits."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from isthmus.contract.prepare import Preparation, prepare
from isthmus.export.doors import tracing
from isthmus.export.graph import weights

CALIBRATION_PICTURES = 100
INPUT, OUTPUT = "picture", "scores"


def write_float(network: torch.nn.Module, side: int, path: Path) -> None:
    """Write a classifier of square pictures, with a free batch."""
    made = tracing.to_onnx(network.eval(), (torch.zeros(2, 3, side, side),), input_names=(INPUT,), output_names=(OUTPUT,))
    weights.save(made.model, path)


def write_int8(source: Path, pictures: Sequence[np.ndarray], preparation: Preparation, path: Path) -> None:
    """Write a network in 8 bits by onnxruntime's own tool: weights by channel, activations unsigned, ranges of photos."""
    few = pictures[:: max(1, len(pictures) // CALIBRATION_PICTURES)][:CALIBRATION_PICTURES]
    prepared = path.with_suffix(".prepared.onnx")
    with tracing.quiet():
        quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
        quantize_static(
            str(prepared),
            str(path),
            _Reader(few, preparation),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
    prepared.unlink()


class _Reader(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, pictures: Sequence[np.ndarray], preparation: Preparation) -> None:
        self._feeds: Iterator[dict[str, np.ndarray]] = ({INPUT: prepare(picture, preparation)} for picture in pictures)

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self._feeds, None)
