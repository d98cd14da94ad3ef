import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.codec.rans import Decoder, encode
from isthmus.errors import MalformedPayload

SKEWED = [4000, 90, 5, 1]


def slices(symbols: list[int], frequencies: list[int]) -> list[tuple[int, int]]:
    return [(frequencies[symbol], sum(frequencies[:symbol])) for symbol in symbols]


def decode(body: bytes, count: int, frequencies: list[int]) -> list[int]:
    decoder = Decoder(memoryview(body))
    symbols = [decoder.take(frequencies) for _ in range(count)]
    decoder.close()
    return symbols


def test_golden_body() -> None:
    body = encode(slices([0, 1, 3, 2, 0, 0, 1], SKEWED))
    assert body.hex() == "0000e5168fffeffc"
    assert decode(body, 7, SKEWED) == [0, 1, 3, 2, 0, 0, 1]


def test_no_symbols_are_the_first_state_alone() -> None:
    assert encode([]).hex() == "00008000"


@given(symbols=st.lists(st.integers(0, 3), max_size=200))
def test_decode_gives_what_was_encoded(symbols: list[int]) -> None:
    assert decode(encode(slices(symbols, SKEWED)), len(symbols), SKEWED) == symbols


def test_a_body_is_as_long_as_its_information() -> None:
    assert len(encode(slices([0] * 10_000, SKEWED))) == 4 + 42  # 10,000 log2(4096 / 4000) / 8
    assert len(encode(slices([3] * 100, SKEWED))) == 4 + 150


@given(symbols=st.lists(st.integers(0, 3), min_size=1, max_size=60), data=st.data())
def test_a_truncated_or_longer_body_is_malformed(symbols: list[int], data: st.DataObject) -> None:
    body = encode(slices(symbols, SKEWED))
    cut = data.draw(st.integers(0, len(body) - 1))
    for wrong in (body[:cut], body + b"\0", body + body):
        with pytest.raises(MalformedPayload):
            decode(wrong, len(symbols), SKEWED)


@pytest.mark.parametrize("state", ["00007fff", "80000000"])
def test_a_first_state_that_no_encoder_reaches_is_malformed(state: str) -> None:
    with pytest.raises(MalformedPayload, match=f"starts with the state {int(state, 16):#x}"):
        Decoder(memoryview(bytes.fromhex(state)))
