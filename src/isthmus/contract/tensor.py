"""Arrays as messages: little-endian, row-major, data types by their Open Inference Protocol names.

Nothing a peer declares is believed: data type, axes and byte count are checked against each other before an array is made.
"""

import math

import numpy as np

from isthmus.contract.generated import split_pb2 as wire
from isthmus.contract.limits import DEFAULT, Limits
from isthmus.errors import LimitExceeded, LocalProtocolError, MalformedPayload

DATATYPES: dict[str, np.dtype[np.generic]] = {
    "BOOL": np.dtype("?"),
    "UINT8": np.dtype("u1"),
    "UINT16": np.dtype("<u2"),
    "UINT32": np.dtype("<u4"),
    "UINT64": np.dtype("<u8"),
    "INT8": np.dtype("i1"),
    "INT16": np.dtype("<i2"),
    "INT32": np.dtype("<i4"),
    "INT64": np.dtype("<i8"),
    "FP16": np.dtype("<f2"),
    "FP32": np.dtype("<f4"),
    "FP64": np.dtype("<f8"),
}
_SHOWN_CHARACTERS = 64
"""How much of a peer's text an error message repeats."""

_NAMES = {dtype: name for name, dtype in DATATYPES.items()}


def pack(name: str, array: np.ndarray) -> wire.Tensor:
    """Make a message of an array.

    Raises:
        LocalProtocolError: the dtype has no name on the wire.
    """
    dtype = array.dtype.newbyteorder("<")
    if dtype not in _NAMES:
        raise LocalProtocolError(f"tensor {name!r} has dtype {array.dtype}, the wire knows {', '.join(DATATYPES)}")
    data = np.ascontiguousarray(array, dtype=dtype).tobytes()
    return wire.Tensor(name=name, datatype=_NAMES[dtype], shape=list(array.shape), data=data)


def unpack(message: wire.Tensor, *, limits: Limits = DEFAULT) -> np.ndarray:
    """Read an array from a message.

    Returns:
        A read-only view on the message's bytes.

    Raises:
        MalformedPayload: unknown data type, a negative axis, a byte count that the shape does not have, or a BOOL that is
            neither 0 nor 1.
        LimitExceeded: more axes or bytes than `limits` allow, or an axis longer than any message.
    """
    said = repr(message.name[:_SHOWN_CHARACTERS])
    dtype = DATATYPES.get(message.datatype)
    if dtype is None:
        shown = message.datatype[:_SHOWN_CHARACTERS]
        raise MalformedPayload(f"tensor {said} has data type {shown!r}; known are {', '.join(DATATYPES)}")
    if len(message.shape) > limits.tensor_axes:
        raise LimitExceeded(f"tensor {said} has {len(message.shape)} axes, at most {limits.tensor_axes} are taken")
    shape = tuple(message.shape)
    if any(axis < 0 for axis in shape):
        raise MalformedPayload(f"tensor {said} has shape {list(shape)}; an axis cannot be negative")
    # An axis of 0 makes every product 0, but numpy still refuses the other axes if they are too long to count.
    if any(axis > limits.message_bytes for axis in shape):
        raise LimitExceeded(f"tensor {said} has shape {list(shape)}; at most {limits.message_bytes} bytes are taken")
    expected = dtype.itemsize * math.prod(shape)
    if expected != len(message.data):
        raise MalformedPayload(f"tensor {said} carries {len(message.data)} bytes, {message.datatype}{list(shape)} has {expected}")
    if expected > limits.message_bytes:
        raise LimitExceeded(f"tensor {said} has {expected} bytes, at most {limits.message_bytes} are taken")
    array = np.frombuffer(message.data, dtype=dtype)
    if dtype.kind == "b" and array.size and array.view(np.uint8).max() > 1:
        raise MalformedPayload(f"tensor {said} has a BOOL byte of {array.view(np.uint8).max()}; only 0 and 1 are BOOL")
    return _shaped(array, shape, said)


def _shaped(array: np.ndarray, shape: tuple[int, ...], said: str) -> np.ndarray:
    try:
        return array.reshape(shape)
    except ValueError as error:
        raise LimitExceeded(f"tensor {said} has shape {list(shape)}, which no array can have") from error
