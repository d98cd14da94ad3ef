import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.codec import rans
from isthmus.codec.misses import slices, take, wrap
from isthmus.errors import MalformedPayload

SHORT = [2000, 90, 6, 2000]
"""An alphabet of two bits: misses 0, 1, an escape, -1."""


def coded(miss: int, frequencies: list[int], bits: int) -> bytes:
    return rans.encode(slices(miss, frequencies, bits=bits))


def taken(body: bytes, frequencies: list[int], bits: int) -> int:
    decoder = rans.Decoder(memoryview(body))
    found = take(decoder, frequencies, bits=bits)
    decoder.close()
    return found


@given(miss=st.integers(-300, 300), bits=st.integers(2, 8))
def test_take_gives_what_was_coded(miss: int, bits: int) -> None:
    assert (taken(coded(miss, SHORT, bits), SHORT, bits) - miss) % (1 << bits) == 0


@pytest.mark.parametrize(("miss", "count"), [(0, 1), (1, 1), (-1, 1), (2, 2), (-2, 2), (127, 2), (-128, 2)])
def test_a_miss_beyond_the_alphabet_takes_an_escape_and_its_plain_bits(miss: int, count: int) -> None:
    assert len(slices(miss, SHORT, bits=8)) == count


def test_a_full_alphabet_has_no_escape() -> None:
    assert slices(-2, SHORT, bits=2) == [(6, 2090)]


@pytest.mark.parametrize("miss", [0, 1, -1])
def test_an_escape_that_is_not_needed_is_malformed(miss: int) -> None:
    body = rans.encode([(6, 2090), (16, miss % 256 * 16)])
    with pytest.raises(MalformedPayload, match="needs no escape"):
        taken(body, SHORT, 8)


@given(miss=st.integers(-1000, 1000), bits=st.integers(1, 8))
def test_wrapping_keeps_the_miss_modulo_its_bits(miss: int, bits: int) -> None:
    assert -(1 << bits - 1) <= wrap(miss, bits) < 1 << bits - 1
    assert (wrap(miss, bits) - miss) % (1 << bits) == 0
