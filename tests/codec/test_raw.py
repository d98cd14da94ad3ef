import numpy as np
import pytest

from isthmus.codec import raw
from isthmus.contract.boundary import Boundary, CodeTensor, OperatingPoint
from isthmus.errors import MalformedPayload

BOUNDARY = Boundary(tensors=(CodeTensor(name="a", shape=(2, 3), bits=3), CodeTensor(name="b", shape=(1,), bits=5)))
FULL = OperatingPoint(name="full", channels=(2, 1))
HALF = OperatingPoint(name="half", channels=(1, 1))


def test_golden_bits_run_from_the_most_significant_on_without_padding_between_tensors() -> None:
    body = raw.encode(np.array([0b001, 0b010, 0b011, 0b100, 0b101, 0b110, 0b11001], np.uint8), BOUNDARY, FULL)
    assert body == bytes([0b00101001, 0b11001011, 0b10110010])
    assert body.hex() == "29cbb2"


def test_golden_bits_come_back() -> None:
    assert raw.decode(memoryview(bytes.fromhex("29cbb2")), BOUNDARY, FULL).tolist() == [1, 2, 3, 4, 5, 6, 25]


def test_a_point_packs_only_its_channels() -> None:
    assert raw.encode(np.array([1, 2, 3, 25], np.uint8), BOUNDARY, HALF).hex() == "29e4"
    assert raw.body_bytes(BOUNDARY, HALF) == 2


@pytest.mark.parametrize("body", ["", "29", "29cb", "29cbb200"])
def test_another_length_than_that_of_the_boundary_is_malformed(body: str) -> None:
    with pytest.raises(MalformedPayload, match="has 3 bytes"):
        raw.decode(memoryview(bytes.fromhex(body)), BOUNDARY, FULL)


def test_a_filling_bit_that_is_set_is_malformed() -> None:
    with pytest.raises(MalformedPayload, match="not zero"):
        raw.decode(memoryview(bytes.fromhex("29cbb3")), BOUNDARY, FULL)
