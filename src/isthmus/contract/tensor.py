"""Arrays as messages: little-endian, row-major, data types by their Open Inference Protocol names.

Nothing a peer declares is believed: data type, axes and byte count are checked against each other before an array is made.
"""

import math
from typing import Any

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
    array = view(message.data, dtype, shape, said=said)
    if array.nbytes > limits.message_bytes:
        raise LimitExceeded(f"tensor {said} has {array.nbytes} bytes, at most {limits.message_bytes} are taken")
    return array


def datatype(dtype: np.dtype[Any]) -> str:
    """The name of a dtype on the wire.

    Raises:
        LocalProtocolError: it has none.
    """
    name = _NAMES.get(dtype)
    if name is None:
        raise LocalProtocolError(f"dtype {dtype} has no name on the wire, which knows {', '.join(DATATYPES)}")
    return name


def view(data: bytes, dtype: np.dtype[Any], shape: tuple[int, ...], *, said: str) -> np.ndarray:
    """Raw bytes as an array.

    Args:
        data: little-endian, row-major.
        dtype: one of `DATATYPES`.
        shape: no axis is negative.
        said: how a message calls the tensor.

    Returns:
        A read-only view.

    Raises:
        MalformedPayload: a byte count that the shape does not have, or a BOOL that is neither 0 nor 1.
        LimitExceeded: no array can have that shape.
    """
    expected = dtype.itemsize * math.prod(shape)
    if expected != len(data):
        raise MalformedPayload(f"tensor {said} carries {len(data)} bytes, {datatype(dtype)}{list(shape)} has {expected}")
    array = np.frombuffer(data, dtype=dtype)
    if dtype.kind == "b" and array.size and array.view(np.uint8).max() > 1:
        raise MalformedPayload(f"tensor {said} has a BOOL byte of {array.view(np.uint8).max()}; only 0 and 1 are BOOL")
    try:
        return array.reshape(shape)
    except ValueError as error:
        raise LimitExceeded(f"tensor {said} has shape {list(shape)}, which no array can have") from error
