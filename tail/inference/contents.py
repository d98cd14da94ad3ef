"""Tensors whose elements are listed one by one (`InferTensorContents`), as clients without numpy send them."""

import math
from typing import Any

import numpy as np

from isthmus.contract import tensor
from isthmus.contract.generated import open_inference_pb2 as wire
from isthmus.errors import MalformedPayload

FIELDS = {
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
}
"""Field of each data type; FP16 has none."""
_ELEMENTS = {"int_contents": np.dtype("<i4"), "uint_contents": np.dtype("<u4")}
"""What a field holds where that is wider than the tensor."""


def unpack(contents: wire.InferTensorContents, dtype: np.dtype[Any], shape: tuple[int, ...], *, said: str) -> np.ndarray:
    """Read a tensor.

    Args:
        contents: exactly the elements of the tensor, row-major.
        dtype: of the tensor.
        shape: no axis is negative.
        said: how a message calls the tensor.

    Raises:
        MalformedPayload: elements in another field than the data type's, more or fewer than the shape has, or one that the data
            type cannot hold; or the data type travels in raw bytes only.
    """
    name = tensor.datatype(dtype)
    field = FIELDS.get(name)
    if field is None:
        raise MalformedPayload(f"tensor {said} is {name}, which travels in raw_input_contents only")
    strange = [given.name for given, _ in contents.ListFields() if given.name != field]
    if strange:
        raise MalformedPayload(f"tensor {said} is {name} and has elements in {strange[0]}; they belong into {field}")
    elements = getattr(contents, field)
    expected = math.prod(shape)
    if len(elements) != expected:
        raise MalformedPayload(f"tensor {said} carries {len(elements)} elements, {name}{list(shape)} has {expected}")
    array = np.fromiter(elements, dtype=_ELEMENTS.get(field, dtype), count=expected)
    narrow = array.astype(dtype, copy=False)
    if narrow.dtype != array.dtype and not np.array_equal(narrow, array):
        raise MalformedPayload(f"tensor {said} has elements of {array.min()}..{array.max()}, which {name} cannot hold")
    return narrow.reshape(shape)
