import contextlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from isthmus.contract import tensor
from isthmus.contract.generated import split_pb2 as wire
from isthmus.contract.limits import Limits
from isthmus.errors import IsthmusError, LimitExceeded, LocalProtocolError, MalformedPayload

ANY_ARRAY = st.sampled_from(sorted(tensor.DATATYPES)).flatmap(
    lambda name: arrays.arrays(tensor.DATATYPES[name], arrays.array_shapes(min_dims=0, max_dims=8, min_side=0, max_side=3))
)


@given(array=ANY_ARRAY)
def test_unpack_gives_what_was_packed(array: np.ndarray) -> None:
    back = tensor.unpack(tensor.pack("x", array))
    assert (back.dtype, back.shape, back.tobytes()) == (array.dtype, array.shape, array.tobytes())


def test_order_and_byte_order_in_memory_do_not_reach_the_wire() -> None:
    array = np.arange(6, dtype=">i4").reshape(2, 3).T
    assert tensor.pack("x", array).data == bytes.fromhex("000000000300000001000000040000000200000005000000")


def test_what_comes_off_the_wire_cannot_be_written_to() -> None:
    with pytest.raises(ValueError, match="read-only"):
        tensor.unpack(tensor.pack("x", np.zeros(3)))[0] = 1


@pytest.mark.parametrize("dtype", ["U4", "O", "c16", "M8[s]", "longdouble"])
def test_a_dtype_without_a_name_on_the_wire_is_our_own_mistake(dtype: str) -> None:
    with pytest.raises(LocalProtocolError, match="has dtype"):
        tensor.pack("x", np.zeros(2, dtype))


def hostile(**fields: object) -> wire.Tensor:
    message = wire.Tensor(name="x", datatype="FP32", shape=[2], data=bytes(8))
    for name, value in fields.items():
        if name == "shape":
            del message.shape[:]
            message.shape.extend(value)  # type: ignore[arg-type]
        else:
            setattr(message, name, value)
    return message


def test_the_message_that_the_hostile_ones_vary_is_sound() -> None:
    assert tensor.unpack(hostile()).tolist() == [0.0, 0.0]


CONTRADICTIONS: dict[str, dict[str, object]] = {
    "negative axis": {"shape": [-2]},
    "two negative axes": {"shape": [-1, -2]},
    "empty axis": {"shape": [0]},
    "larger shape": {"shape": [3]},
    "no axes": {"shape": []},
    "no data": {"data": b""},
    "a byte short": {"data": bytes(7)},
    "a byte over": {"data": bytes(9)},
    "no data type": {"datatype": ""},
    "data type in lower case": {"datatype": "fp32"},
    "text": {"datatype": "BYTES"},
    "packed": {"datatype": "INT4"},
    "python object": {"datatype": "object"},
    "truth of two": {"datatype": "BOOL", "shape": [8], "data": b"\0\1\0\1\0\1\0\2"},
}


@pytest.mark.parametrize("fields", CONTRADICTIONS.values(), ids=CONTRADICTIONS)
def test_a_header_that_contradicts_itself_is_malformed(fields: dict[str, object]) -> None:
    with pytest.raises(MalformedPayload):
        tensor.unpack(hostile(**fields))


@pytest.mark.parametrize(
    "shape",
    [
        [1] * 9,
        [1] * 100_000,
        [2**62, 4],
        [2**31, 2**33],
        [2**63 - 1] * 8,
        [0, 2**62, 2**62],
        [2**63 - 1, 0],
        [0, 2**22, 2**22, 2**22],
    ],
    ids=lambda shape: f"{len(shape)} axes from {shape[0]}",
)
def test_axes_that_no_array_could_have_pass_a_limit(shape: list[int]) -> None:
    with pytest.raises(LimitExceeded):
        tensor.unpack(hostile(shape=shape, data=b""))


def test_more_bytes_than_the_receiver_takes_pass_a_limit() -> None:
    message = tensor.pack("x", np.zeros((25, 41), np.uint8))
    with pytest.raises(LimitExceeded, match="1025"):
        tensor.unpack(message, limits=Limits(message_bytes=1024))


def test_an_error_repeats_only_a_little_of_what_the_peer_wrote() -> None:
    with pytest.raises(MalformedPayload) as caught:
        tensor.unpack(hostile(name="n\n" * 100_000, datatype="d\n" * 100_000))
    assert len(str(caught.value)) < 500
    assert "\n" not in str(caught.value)


@given(
    datatype=st.sampled_from([*tensor.DATATYPES, "BF16", ""]),
    shape=st.lists(st.one_of(st.integers(0, 4), st.integers(-(2**63), 2**63 - 1)), max_size=10),
    data=st.binary(max_size=64),
)
def test_any_header_gives_an_array_of_its_shape_or_our_error(datatype: str, shape: list[int], data: bytes) -> None:
    message = wire.Tensor(name="x", datatype=datatype, shape=shape, data=data)
    with contextlib.suppress(IsthmusError):
        assert tensor.unpack(message).shape == tuple(shape)
