import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from isthmus.contract.boundary import MAX_AXIS, Boundary, CodeTensor, OperatingPoint, choose_point, point_size
from isthmus.errors import ContractMismatch, RemoteProtocolError

TWO = Boundary(tensors=(CodeTensor(name="a", shape=(4, 2, 3), bits=3), CodeTensor(name="b", shape=(5,), bits=8, signed=False)))


def frame() -> list[np.ndarray]:
    return [np.zeros((4, 2, 3), dtype=np.int8), np.zeros(5, dtype=np.uint8)]


@given(bits=st.integers(1, 8), signed=st.booleans())
def test_the_range_of_codes_has_two_to_the_bits_values_and_fits_the_dtype(bits: int, signed: bool) -> None:
    tensor = CodeTensor(name="a", shape=(1,), bits=bits, signed=signed)
    assert tensor.highest - tensor.lowest + 1 == 2**bits
    assert np.iinfo(tensor.dtype).min <= tensor.lowest <= 0 <= tensor.highest <= np.iinfo(tensor.dtype).max


@pytest.mark.parametrize("shape", [(), (0,), (-1, 2), (MAX_AXIS + 1,), (1,) * 9, (65_536, 65_536), (MAX_AXIS,) * 8])
def test_impossible_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValidationError):
        CodeTensor(name="a", shape=shape, bits=4)


@pytest.mark.parametrize("bits", [0, 9, -1])
def test_bits_outside_one_to_eight_are_refused(bits: int) -> None:
    with pytest.raises(ValidationError):
        CodeTensor(name="a", shape=(1,), bits=bits)


def test_unknown_fields_are_refused() -> None:
    with pytest.raises(ValidationError):
        CodeTensor.model_validate({"name": "a", "shape": [1], "bits": 4, "zero_point": 3})


def test_two_tensors_of_one_name_are_refused() -> None:
    tensor = CodeTensor(name="a", shape=(1,), bits=4)
    with pytest.raises(ValidationError, match="share a name"):
        Boundary(tensors=(tensor, tensor))


def test_a_frame_of_the_boundary_passes() -> None:
    TWO.check(frame())


def test_a_missing_tensor_is_a_mismatch() -> None:
    with pytest.raises(ContractMismatch, match="1 tensors cross, the boundary has 2"):
        TWO.check(frame()[:1])


@pytest.mark.parametrize(
    ("dtype", "shape"), [("uint8", (4, 2, 3)), ("int16", (4, 2, 3)), ("float32", (4, 2, 3)), ("int8", (4, 3, 2)), ("int8", (24,))]
)
def test_a_wrong_dtype_or_shape_is_a_mismatch_that_names_both(dtype: str, shape: tuple[int, ...]) -> None:
    with pytest.raises(ContractMismatch, match=rf"{dtype}\[.*the boundary wants int8\[4, 2, 3\]"):
        TWO.check([np.zeros(shape, dtype), frame()[1]])


@pytest.mark.parametrize("value", [-5, 4])
def test_a_code_outside_its_bits_is_a_mismatch(value: int) -> None:
    codes = frame()
    codes[0][3, 1, 2] = value
    with pytest.raises(ContractMismatch, match=r"3 bits allow -4\.\.3"):
        TWO.check(codes)


@given(first=st.integers(1, 4), second=st.integers(1, 5))
def test_a_point_has_the_codes_of_its_leading_channels(first: int, second: int) -> None:
    point = OperatingPoint(name="p", channels=(first, second))
    assert point_size(TWO, point) == frame()[0][:first].size + frame()[1][:second].size


@pytest.mark.parametrize("channels", [(0, 1), (5, 1), (1, 6), (1,), (1, 1, 1), (-1, 1)])
def test_a_point_that_does_not_fit_is_a_mismatch(channels: tuple[int, ...]) -> None:
    with pytest.raises(ContractMismatch):
        point_size(TWO, OperatingPoint(name="p", channels=channels))


@pytest.mark.parametrize("index", [-1, 2, 2**32 - 1])
def test_a_point_that_a_peer_invented_is_refused(index: int) -> None:
    points = [OperatingPoint(name="a", channels=(1,)), OperatingPoint(name="b", channels=(2,))]
    assert choose_point(points, 1).name == "b"
    with pytest.raises(RemoteProtocolError, match="does not exist"):
        choose_point(points, index)


@given(shape=st.lists(st.integers(1, 40), min_size=1, max_size=8))
def test_size_counts_codes_even_where_a_machine_integer_would_overflow(shape: list[int]) -> None:
    if math.prod(shape) <= 2**31:
        tensor = CodeTensor(name="a", shape=tuple(shape), bits=1)
        assert tensor.size() == math.prod(shape)
