import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.codec.planes import Layout
from isthmus.codec.table import ChannelModel, Sum, Table, Tap, fits, read
from isthmus.errors import BundleError

NOTHING = Sum(0, ())
EVEN = np.full((16, 2), 2048, np.int16)
TINY = Table(
    bits=1,
    alphabet_bits=1,
    fractions=1,
    temporal=False,
    channels=(ChannelModel(1, Sum(3, ()), Sum(-2, (Tap(0, 0, -1, 2, 77),)), NOTHING, NOTHING),),
    thresholds=tuple(range(1, 16)),
    frequencies=EVEN,
)
GOLDEN = [1, 1, 1, 1, 0, 1, 1, 3, 0, -2, 1, 0, 0, -1, 2, 77, 0, 0, 0, 0, *range(1, 16), *[2048] * 32]
"""Words of the first release."""


def with_taps(*taps: Tap, first: bool = False, error: bool = False, temporal: bool = True) -> Table:
    place = ("first_" if first else "") + ("error" if error else "value")
    model = dataclasses.replace(ChannelModel(0, NOTHING, NOTHING, NOTHING, NOTHING), **{place: Sum(0, taps)})
    return dataclasses.replace(TINY, channels=(model,), temporal=temporal)


def test_golden_words() -> None:
    assert TINY.words().tolist() == GOLDEN
    assert read(np.array(GOLDEN, np.int16)).words().tolist() == GOLDEN


@given(seed=st.integers(0, 2**32 - 1), channels=st.integers(1, 4), bits=st.integers(1, 8), temporal=st.booleans())
def test_read_gives_what_was_written(make_table, seed, channels, bits, temporal) -> None:
    table = make_table(seed, Layout(channels, 2, 2, bits), temporal=temporal)
    back = read(table.words())
    assert back.words().tolist() == table.words().tolist()
    assert (back.channels, back.thresholds) == (table.channels, table.thresholds)
    assert fits(back, bits=bits, channels=channels, temporal=temporal)


@pytest.mark.parametrize("length", range(len(GOLDEN)))
def test_every_truncation_is_refused(length: int) -> None:
    with pytest.raises(BundleError):
        read(np.array(GOLDEN[:length], np.int16))


@given(index=st.integers(0, len(GOLDEN) - 1), word=st.integers(-32768, 32767))
def test_a_changed_word_is_refused_or_makes_another_table(index: int, word: int) -> None:
    words = np.array(GOLDEN, np.int16)
    words[index] = word
    try:
        assert read(words).words().tolist() == words.tolist()
    except BundleError:
        assert word != GOLDEN[index]


@pytest.mark.parametrize(
    ("index", "word", "says"),
    [
        (0, 2, "version 2, this program reads 1"),
        (1, 9, "of 9 bits"),
        (2, 2, "1 bits, 2 of them coded"),
        (2, 0, "0 of them coded"),
        (3, 3, "3 fractions"),
        (5, 1025, "1025 channels"),
        (6, 2, "starts channel 0 at 2"),
        (8, 49, "49 taps"),
        (20, 9000, "thresholds"),
        (21, 0, "thresholds"),
        (-1, 2047, "sum 4096"),
        (-1, 0, "below 1"),
    ],
)
def test_a_field_out_of_range_is_named(index: int, word: int, says: str) -> None:
    words = np.array(GOLDEN, np.int16)
    words[index] = word
    with pytest.raises(BundleError, match=says):
        read(words)


@pytest.mark.parametrize(
    ("tap", "options"),
    [
        (Tap(0, 0, 0, 0, 1), {}),
        (Tap(0, 0, 0, 1, 1), {}),
        (Tap(0, 0, 1, -1, 1), {}),
        (Tap(0, 1, 0, 0, 1), {}),
        (Tap(0, 0, -3, 0, 1), {}),
        (Tap(0, 0, -1, 3, 1), {}),
        (Tap(0, 0, -1, 0, 1), {"first": True}),
        (Tap(1, 0, 0, 0, 1), {"temporal": False}),
        (Tap(1, 0, 0, 0, 1), {"error": True}),
        (Tap(2, 0, 0, 0, 1), {}),
        (Tap(0, 0, 0, -1, 4097), {"error": True}),
    ],
)
def test_a_tap_that_sees_what_is_not_known_or_weighs_too_much_is_refused(tap: Tap, options: dict[str, bool]) -> None:
    with pytest.raises(BundleError, match="which cannot be"):
        with_taps(tap, **options)


def test_a_reference_may_be_seen_on_all_sides() -> None:
    assert with_taps(Tap(1, 0, 2, 2, -32768), Tap(1, 0, 0, 0, 1)).temporal


@pytest.mark.parametrize("words", [np.zeros(5, np.int32), np.zeros((2, 2), np.int16), np.zeros(0, np.int16)])
def test_words_of_another_type_or_shape_are_refused(words: np.ndarray) -> None:
    with pytest.raises(BundleError):
        read(words)
