import numpy as np

from isthmus.codec.planes import Layout
from isthmus.codec.predictor import Predictor
from isthmus.codec.table import ChannelModel, Sum, Table, Tap

NOTHING = Sum(0, ())
ONE = 4096


def table(*models: ChannelModel, bits: int = 4, fractions: int = 4, temporal: bool = False) -> Table:
    return Table(
        bits=bits,
        alphabet_bits=bits,
        fractions=fractions,
        temporal=temporal,
        channels=models,
        thresholds=tuple(range(64, 64 * 16, 64)),
        frequencies=np.full((16 * fractions, 1 << bits), 4096 >> bits, np.int16),
    )


def value_of(model: ChannelModel, symbols: list[list[int]], place: tuple[int, int, int]) -> int:
    """What the predictor says at `place`, after it has seen what comes before."""
    plane = np.array(symbols)
    predictor = Predictor(table(model), Layout(1, *plane.shape, 4))
    for at in np.ndindex(1, *plane.shape):
        guess = predictor.guess(at)
        if at == place:
            return guess.value
        predictor.learn(at, int(plane[at[1:]]), guess)
    raise AssertionError


def below(*taps: Tap, offset: int = 0, start: int = 0) -> ChannelModel:
    return ChannelModel(start, NOTHING, Sum(offset, taps), NOTHING, NOTHING)


SYMBOLS = [[1, 2, 3], [4, 5, 6], [7, 8, 9]]


def test_a_value_is_the_offset_and_the_weighted_neighbours() -> None:
    left_and_above = below(Tap(0, 0, 0, -1, 2048), Tap(0, 0, -1, 0, 1024), offset=64)
    assert value_of(left_and_above, SYMBOLS, (0, 1, 1)) == ONE + 4 * 2048 + 2 * 1024


def test_beyond_the_right_end_and_above_the_first_row_stands_the_nearest_cell() -> None:
    assert value_of(below(Tap(0, 0, -1, 2, ONE)), SYMBOLS, (0, 1, 1)) == 3 * ONE
    assert value_of(below(Tap(0, 0, -2, 0, ONE)), SYMBOLS, (0, 1, 1)) == 2 * ONE
    assert value_of(below(Tap(0, 0, -1, -2, ONE)), SYMBOLS, (0, 2, 0)) == 4 * ONE


def test_left_of_a_row_stands_the_first_symbol_of_the_row_above() -> None:
    assert value_of(below(Tap(0, 0, 0, -2, ONE)), SYMBOLS, (0, 2, 1)) == 4 * ONE


def test_left_of_the_first_row_stands_the_start() -> None:
    model = ChannelModel(11, Sum(0, (Tap(0, 0, 0, -1, ONE),)), NOTHING, NOTHING, NOTHING)
    assert value_of(model, SYMBOLS, (0, 0, 0)) == 11 * ONE
    assert value_of(model, SYMBOLS, (0, 0, 1)) == 1 * ONE


def test_values_stay_within_the_symbols() -> None:
    assert value_of(below(offset=32767), SYMBOLS, (0, 1, 0)) == 15 * ONE
    assert value_of(below(offset=-32768), SYMBOLS, (0, 1, 0)) == 0


def test_context_and_sign_follow_from_the_fraction_and_the_expected_error() -> None:
    # 5.25 codes lie a quarter above 5, half of the way to the middle: fraction 2 of 4. An expected error of 130 is level 2.
    predictor = Predictor(table(ChannelModel(0, Sum(336, ()), NOTHING, Sum(130, ()), NOTHING)), Layout(1, 1, 1, 4))
    guess = predictor.guess((0, 0, 0))
    assert (guess.nearest, guess.sign, guess.context) == (5, 1, 2 * 4 + 2)


def test_a_value_below_the_nearest_symbol_turns_the_sign() -> None:
    predictor = Predictor(table(ChannelModel(0, Sum(4 * 64 + 40, ()), NOTHING, NOTHING, NOTHING)), Layout(1, 1, 1, 4))
    assert (predictor.guess((0, 0, 0)).nearest, predictor.guess((0, 0, 0)).sign) == (5, -1)


def test_errors_and_changes_feed_the_expected_error() -> None:
    sums = Sum(0, (Tap(0, 0, 0, -1, 256), Tap(1, 0, 0, -1, 256)))
    model = ChannelModel(0, NOTHING, NOTHING, sums, NOTHING)
    predictor = Predictor(table(model, temporal=True), Layout(1, 1, 2, 4), np.array([[[1, 0]]], np.uint8))
    predictor.learn((0, 0, 0), 3, predictor.guess((0, 0, 0)))
    # Error 3 and change 2 make 5 codes: 640 in 1/128, the tenth threshold.
    assert predictor.guess((0, 0, 1)).context // 4 == 10


def test_earlier_channels_and_the_reference_are_seen_on_all_sides() -> None:
    model = ChannelModel(0, Sum(0, (Tap(1, 0, 1, 1, ONE), Tap(0, 0, 1, 0, ONE))), NOTHING, NOTHING, NOTHING)
    first = ChannelModel(0, NOTHING, NOTHING, NOTHING, NOTHING)
    reference = np.zeros((2, 2, 2), np.uint8)
    reference[0, 1, 1] = 4
    predictor = Predictor(table(first, model, temporal=True), Layout(2, 2, 2, 4), reference)
    for at in np.ndindex(1, 2, 2):
        predictor.learn(at, 3, predictor.guess(at))
    assert predictor.guess((1, 0, 0)).value == 7 * ONE
