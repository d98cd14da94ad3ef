import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus.codec.analysis import Batch, analyse, bits
from isthmus.codec.misses import wrap
from isthmus.codec.planes import Layout
from isthmus.codec.predictive import TensorCoding, coder
from isthmus.codec.predictor import Predictor


@given(
    seed=st.integers(0, 2**32 - 1),
    shape=st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 4)),
    depth=st.integers(1, 8),
    temporal=st.booleans(),
)
@settings(max_examples=50)
def test_a_batch_is_predicted_as_the_specification_does_code_by_code(make_table, seed, shape, depth, temporal) -> None:
    layout = Layout(*shape, depth)
    table = make_table(seed, layout, temporal=temporal)
    now, before = np.random.default_rng(seed).integers(0, 1 << depth, (2, 1, *shape), dtype=np.int32)
    found = analyse(Batch(now, before if temporal else None), table)
    predictor = Predictor(table, layout, before[0] if temporal else None)
    for place in np.ndindex(shape):
        guess = predictor.guess(place)
        symbol = int(now[0][place])
        assert (guess.value, guess.context) == (found.value[0][place], found.context[0][place])
        assert wrap(guess.sign * (symbol - guess.nearest), depth) == found.miss[0][place]
        predictor.learn(place, symbol, guess)


@pytest.mark.parametrize("temporal", [False, True])
def test_the_bits_of_a_batch_are_the_bytes_that_the_codec_writes(make_table, temporal) -> None:
    layout = Layout(3, 5, 7, 4)
    table = make_table(11, layout, temporal=temporal)
    now, before = np.random.default_rng(1).integers(0, 16, (2, 1, 3, 5, 7), dtype=np.int32)
    told = bits(Batch(now, before if temporal else None), table).sum()
    flat = [array.astype(np.uint8).ravel() for array in (now, before)]
    body = coder([TensorCoding(layout, table)]).encode(flat[0], flat[1] if temporal else None)
    assert abs(len(body) * 8 - told - 24) <= 9
