"""What goes into a network of a bundle and what comes out, as clients are told and requests are checked.

Frames lie along the first axis of every tensor. Its length is free only where several frames at once were seen to give what they
give one by one; elsewhere it is 1. (Of an output it may be something else, as a detector's number of boxes.)
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from isthmus.contract.boundary import CodeTensor
from isthmus.contract.manifest import Manifest
from isthmus.contract.tensor import DATATYPES
from isthmus.devices.runtime import Port
from isthmus.errors import BundleError


@dataclass(frozen=True, slots=True, kw_only=True)
class Interface:
    """Inputs and outputs of one network."""

    inputs: Mapping[str, Port]
    """In the order in which they are told."""
    outputs: Mapping[str, Port]
    rows_free: bool
    """Whether several frames may go in at once."""
    codes: Mapping[str, CodeTensor]
    """Range of the inputs that are codes."""


def tail_interface(manifest: Manifest, outputs: Sequence[Port], *, rows_free: bool) -> Interface:
    """Codes in.

    Args:
        manifest: of the bundle.
        outputs: of `tail.onnx`, as it was loaded.
        rows_free: whether several frames may go in at once.
    """
    rows = None if rows_free else 1
    codes = {tensor.name: tensor for tensor in manifest.boundary.tensors}
    inputs = {name: Port(name=name, dtype=tensor.dtype, shape=(rows, *tensor.shape)) for name, tensor in codes.items()}
    return Interface(inputs=inputs, outputs={port.name: port for port in outputs}, rows_free=rows_free, codes=codes)


def whole_interface(manifest: Manifest, *, rows_free: bool) -> Interface:
    """Prepared pictures in, by the manifest: `whole.onnx` need not be loaded to tell.

    Raises:
        BundleError: a data type of the manifest has no name on the wire.
    """
    for port in (manifest.input, *manifest.outputs):
        if port.datatype not in DATATYPES:
            raise BundleError(f"{port.name!r} of {manifest.id} has data type {port.datatype!r}; known are {', '.join(DATATYPES)}")
    first = manifest.input.shape[:1]
    rows_free = rows_free and first == (None,)
    shape = manifest.input.shape if rows_free or first != (None,) else (1, *manifest.input.shape[1:])
    entry = Port(name=manifest.input.name, dtype=DATATYPES[manifest.input.datatype], shape=shape)
    outputs = {port.name: Port(name=port.name, dtype=DATATYPES[port.datatype], shape=port.shape) for port in manifest.outputs}
    return Interface(inputs={entry.name: entry}, outputs=outputs, rows_free=rows_free, codes={})
