"""The bottleneck `none`: the tensor at the cut itself, quantised channel by channel.

What is 8 bits wide already, in a network that came in quantised, crosses as it is when codes of 8 bits are asked for.
"""

import numpy as np
import onnx_ir as ir

from isthmus.contract.prepare import Preparation
from isthmus.errors import ExportError
from isthmus.export.bottlenecks.activations import Seen, is_lossless, layouts, see
from isthmus.export.bottlenecks.bottleneck import Bottleneck
from isthmus.export.bottlenecks.chain import Chain
from isthmus.export.bottlenecks.layout import BYTES, Layout
from isthmus.export.bottlenecks.quantizer import Quantizer, calibrate
from isthmus.export.cutting.split import Halves
from isthmus.export.samples import Samples


def quantised(halves: Halves, samples: Samples, preparation: Preparation, *, bits: int) -> list[Bottleneck]:
    """Put a quantiser on every tensor that crosses; nothing is trained.

    Args:
        halves: an exact split.
        samples: pictures to calibrate on.
        preparation: how they become the input.
        bits: of a code.

    Raises:
        ExportError: something crosses that is neither float nor of 8 bits, or of no fixed size.
    """
    opset = halves.head.opset_imports[""]
    crossing = layouts(halves)
    if all(is_lossless(tensor, bits) for tensor in crossing):
        return [_as_it_is(tensor, opset) for tensor in crossing]
    seen = see(halves, samples, preparation, bits=bits)
    return [_as_it_is(one.layout, opset) if is_lossless(one.layout, bits) else _calibrated(one, bits, opset) for one in seen]


def _as_it_is(tensor: Layout, opset: int) -> Bottleneck:
    """8-bit values are codes."""
    chain = tensor.arranged(Chain(tensor.name, tensor.data_type, tensor.dimensions))
    encoder = chain.model("codes", tensor.data_type, tensor.code_dimensions, opset=opset)
    back = tensor.restored(Chain("codes", tensor.data_type, tensor.code_dimensions))
    decoder = back.model(tensor.name, tensor.data_type, tensor.dimensions, opset=opset)
    signed = tensor.data_type.numpy().kind == "i"
    return Bottleneck(encoder=encoder, decoder=decoder, shape=tensor.shape, bits=8, signed=signed)


def _calibrated(seen: Seen, bits: int, opset: int) -> Bottleneck:
    tensor = seen.layout
    if tensor.data_type in BYTES and tensor.affine is None:
        raise ExportError(
            f"tensor {tensor.name} at the cut holds 8-bit numbers of unknown scale; they can cross as they are with --bits 8"
        )
    chosen = calibrate(seen.values, bits, peak=seen.peak, lowest=seen.lowest)
    return scaled(tensor, chosen, opset=opset)


def scaled(tensor: Layout, chosen: Quantizer, *, opset: int) -> Bottleneck:
    """A bottleneck that divides the channels of a tensor by their scales, and multiplies them again."""
    scale = chosen.scale.reshape(1, -1, *([1] * (len(tensor.shape) - 1)))
    inverse = (np.float32(1.0) / scale).astype(np.float32)
    encoder = tensor.opened().then("Mul", inverse)
    decoder = Chain("code_values", ir.DataType.FLOAT, tensor.code_dimensions).then("Mul", scale)
    return Bottleneck(
        encoder=encoder.model("units", ir.DataType.FLOAT, tensor.code_dimensions, opset=opset),
        decoder=tensor.closed(decoder, opset=opset),
        shape=tensor.shape,
        bits=chosen.bits,
        signed=chosen.signed,
    )
