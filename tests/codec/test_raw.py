import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.codec import predictive, raw
from isthmus.contract.boundary import Boundary, CodeTensor, OperatingPoint
from isthmus.errors import MalformedPayload

if predictive.IS_FAST:
    from isthmus.codec import _native

native = pytest.mark.skipif(not predictive.IS_FAST, reason="the C core is not built; install isthmus where there is a C compiler")
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


@st.composite
def framed(draw):
    runs = tuple(draw(st.lists(st.tuples(st.integers(1, 40), st.integers(1, 8)), min_size=1, max_size=5)))
    symbols = [draw(st.integers(0, 2**bits - 1)) for size, bits in runs for _ in range(size)]
    return np.array(symbols, np.uint8), runs


@native
@given(framed())
def test_the_c_core_packs_and_unpacks_as_specified(frame):
    symbols, runs = frame
    packed = raw.specified_pack(symbols, runs)
    assert _native.pack(symbols, runs) == packed
    assert raw.specified_unpack(packed, runs) == _native.unpack(packed, runs) == symbols.tobytes()


@native
@pytest.mark.parametrize(
    ("given_", "runs", "words"),
    [
        (b"\x01", ((1, 4),), "fill the last byte"),
        (b"\x10\x00", ((1, 4),), "2 bytes are given, the runs have 1"),
        (b"", ((-1, 4),), "1 to 8 bits"),
        (b"\x00", ((1, 9),), "1 to 8 bits"),
        (b"", ((1, 1),) * 17, "at most 16 tensors"),
    ],
)
def test_the_c_core_refuses_what_does_not_fit(given_, runs, words):
    with pytest.raises(ValueError, match=words):
        _native.unpack(given_, runs)
