import numpy as np
import pytest

from isthmus.codec.symbols import from_codes, to_codes
from isthmus.contract.boundary import Boundary, CodeTensor, OperatingPoint
from isthmus.errors import ContractMismatch, MalformedPayload

BOUNDARY = Boundary(tensors=(CodeTensor(name="a", shape=(2, 2), bits=3), CodeTensor(name="b", shape=(3,), bits=2, signed=False)))
FULL = OperatingPoint(name="full", channels=(2, 3))
HALF = OperatingPoint(name="half", channels=(1, 2))
CODES = (np.array([[-4, 3], [0, -1]], np.int8), np.array([3, 0, 2], np.uint8))


def test_a_symbol_is_the_distance_from_the_lowest_code() -> None:
    assert from_codes(CODES, BOUNDARY, FULL).tolist() == [0, 7, 4, 3, 3, 0, 2]


def test_a_point_keeps_the_leading_channels_of_every_tensor() -> None:
    assert from_codes(CODES, BOUNDARY, HALF).tolist() == [0, 7, 3, 0]


def test_channels_that_did_not_cross_come_back_as_code_zero() -> None:
    first, second = to_codes(np.array([0, 7, 3, 1], np.uint8), BOUNDARY, HALF)
    assert first.tolist() == [[-4, 3], [0, 0]]
    assert second.tolist() == [3, 1, 0]
    assert (first.dtype, second.dtype) == (np.dtype("int8"), np.dtype("uint8"))


def test_a_symbol_above_the_bits_of_its_tensor_is_malformed() -> None:
    with pytest.raises(MalformedPayload, match="a symbol of 'b' is 4, 2 bits allow 3"):
        to_codes(np.array([0, 7, 4, 1], np.uint8), BOUNDARY, HALF)


def test_codes_of_another_boundary_are_a_mismatch() -> None:
    with pytest.raises(ContractMismatch):
        from_codes(CODES[::-1], BOUNDARY, FULL)
