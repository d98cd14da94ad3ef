import contextlib

import numpy as np
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from isthmus.codec import zstd
from isthmus.contract.boundary import Boundary, CodeTensor, OperatingPoint
from isthmus.errors import IsthmusError, MalformedPayload

SIZE = 4 * 8 * 8
BOUNDARY = Boundary(tensors=(CodeTensor(name="a", shape=(4, 8, 8), bits=4),))
FULL = OperatingPoint(name="full", channels=(4,))
RAMP = (np.arange(SIZE) // 32).astype(np.uint8)

GOLDEN = bytes.fromhex("0000950000400001020304050607086401c0c3011c0d09")
"""A frame of the first release that holds RAMP; every later one must read it, whatever the library's version."""


def frame(symbols: bytes, **options: int) -> memoryview:
    settings = {"format": zstandard.FORMAT_ZSTD1_MAGICLESS, "write_content_size": 0, "write_checksum": 0, **options}
    parameters = zstandard.ZstdCompressionParameters.from_level(3, **settings)
    return memoryview(zstandard.ZstdCompressor(compression_params=parameters).compress(symbols))


def test_golden_bytes_are_read() -> None:
    assert zstd.decode(memoryview(GOLDEN), BOUNDARY, FULL).tolist() == RAMP.tolist()


@given(symbols=st.binary(min_size=SIZE, max_size=SIZE))
def test_decode_gives_what_was_encoded(symbols: bytes) -> None:
    body = zstd.encode(np.frombuffer(symbols, np.uint8))
    assert zstd.decode(memoryview(body), BOUNDARY, FULL).tobytes() == symbols


def test_a_frame_carries_no_magic_number_no_size_and_no_checksum() -> None:
    parameters = zstandard.get_frame_parameters(zstd.encode(RAMP), format=zstandard.FORMAT_ZSTD1_MAGICLESS)
    assert parameters.content_size == zstandard.CONTENTSIZE_UNKNOWN
    assert not parameters.has_checksum


@pytest.mark.parametrize("size", [1 << 10, 1 << 20, 1 << 28])
def test_a_bomb_is_malformed(size: int) -> None:
    bomb = frame(bytes(size))
    assert len(bomb) < size / 30
    with pytest.raises(MalformedPayload):
        zstd.decode(bomb, BOUNDARY, FULL)


@pytest.mark.parametrize("declared", [SIZE, 2**32 - 1, 2**62])
def test_a_frame_that_declares_a_size_is_malformed_before_anything_is_allocated(
    declared: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(zstandard, "ZstdDecompressor")
    # RFC 8878, 3.1.1.1: descriptor 0xC0 announces a window and an 8-byte content size.
    body = b"\xc0\x00" + declared.to_bytes(8, "little") + bytes.fromhex("430000 00 0f")
    with pytest.raises(MalformedPayload, match=f"declares {declared} bytes"):
        zstd.decode(memoryview(body), BOUNDARY, FULL)


def test_a_frame_that_asks_for_a_huge_window_is_malformed_before_anything_is_allocated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(zstandard, "ZstdDecompressor")
    # RFC 8878, 3.1.1.1.2: exponent 20 is a window of 1 GiB.
    with pytest.raises(MalformedPayload, match="a window of 1073741824"):
        zstd.decode(memoryview(bytes.fromhex("00a0 430000 00")), BOUNDARY, FULL)


@pytest.mark.parametrize("size", [0, 1, SIZE - 1, SIZE + 1, 2 * SIZE])
def test_a_frame_of_another_size_is_malformed(size: int) -> None:
    with pytest.raises(MalformedPayload):
        zstd.decode(frame(bytes(size)), BOUNDARY, FULL)


@pytest.mark.parametrize("extra", [b"\0", bytes(GOLDEN), b"\x50\x2a\x4d\x18\0\0\0\0"], ids=["byte", "frame", "skippable"])
def test_anything_after_the_frame_is_malformed(extra: bytes) -> None:
    with pytest.raises(MalformedPayload):
        zstd.decode(memoryview(zstd.encode(RAMP) + extra), BOUNDARY, FULL)


def test_every_truncation_is_malformed() -> None:
    body = zstd.encode(np.random.default_rng(1).integers(0, 16, SIZE, dtype=np.uint8))
    for length in range(len(body)):
        with pytest.raises(MalformedPayload):
            zstd.decode(memoryview(body[:length]), BOUNDARY, FULL)


def test_a_frame_that_needs_a_dictionary_is_malformed() -> None:
    with pytest.raises(MalformedPayload):
        # Descriptor 0x01: a one-byte dictionary id follows the window.
        zstd.decode(memoryview(b"\x01\x00\x07" + zstd.encode(RAMP)[2:]), BOUNDARY, FULL)


@given(data=st.binary(max_size=80), start=st.integers(0, 12))
def test_random_bytes_after_a_sound_beginning_raise_only_our_errors(data: bytes, start: int) -> None:
    body = GOLDEN[:start] + data
    with contextlib.suppress(IsthmusError):
        assert zstd.decode(memoryview(body), BOUNDARY, FULL).size == SIZE
