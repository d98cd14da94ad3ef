import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.codec.payload import OVERHEAD_BYTES, Mode, pack, unpack
from isthmus.errors import MalformedPayload

GOLDEN = bytes.fromhex("02 010203 984eb021")
"""Mode zstd, body 01 02 03, checksum: bytes of the first release."""


def test_golden_bytes() -> None:
    assert pack(Mode.ZSTD, b"\1\2\3") == GOLDEN
    mode, body = unpack(GOLDEN)
    assert (mode, bytes(body)) == (Mode.ZSTD, b"\1\2\3")


@given(mode=st.sampled_from(Mode), body=st.binary(max_size=300))
def test_unpack_gives_what_was_packed(mode: Mode, body: bytes) -> None:
    data = pack(mode, body)
    assert len(data) == len(body) + OVERHEAD_BYTES
    found, inside = unpack(data)
    assert (found, bytes(inside)) == (mode, body)


def test_the_body_is_a_view_and_no_copy() -> None:
    assert unpack(GOLDEN)[1].obj is GOLDEN


@pytest.mark.parametrize("bit", range(len(GOLDEN) * 8))
def test_every_flipped_bit_is_malformed(bit: int) -> None:
    damaged = bytearray(GOLDEN)
    damaged[bit // 8] ^= 1 << bit % 8
    with pytest.raises(MalformedPayload):
        unpack(bytes(damaged))


@pytest.mark.parametrize("length", range(len(GOLDEN)))
def test_every_truncation_is_malformed(length: int) -> None:
    with pytest.raises(MalformedPayload):
        unpack(GOLDEN[:length])


@given(extra=st.binary(min_size=1, max_size=8))
def test_trailing_bytes_are_malformed(extra: bytes) -> None:
    with pytest.raises(MalformedPayload):
        unpack(GOLDEN + extra)


@pytest.mark.parametrize("number", sorted(set(range(256)) - set(Mode)))
def test_a_mode_of_the_future_is_malformed_and_named(number: int) -> None:
    data = bytes([number]) + b"body"
    with pytest.raises(MalformedPayload, match=f"payload mode {number} is unknown"):
        unpack(data + zlib.crc32(data).to_bytes(4, "little"))


@given(data=st.binary(max_size=64))
def test_random_bytes_raise_only_our_error(data: bytes) -> None:
    try:
        mode, body = unpack(data)
    except MalformedPayload:
        return
    assert pack(mode, bytes(body)) == data
