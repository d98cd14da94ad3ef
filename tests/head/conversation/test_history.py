import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.codec.hidden.calibration import Calibration
from isthmus.codec.hidden.codec import MODES, HiddenCodec
from isthmus.head.conversation.history import History

CODEC = HiddenCodec(Calibration.neutral(48))


@given(st.lists(st.tuples(st.sampled_from(MODES), st.integers(1, 5)), max_size=8), st.integers(0, 40), st.integers(1, 7))
def test_what_is_kept_comes_out_as_it_crossed(parts, cut, most):
    history, crossed = History(48), [np.zeros((0, 48), np.float32)]
    for index, (mode, count) in enumerate(parts):
        payload = CODEC.encode(np.random.default_rng(index).normal(size=(count, 48)).astype(np.float32), mode)
        history.append(payload)
        crossed.append(CODEC.decode(payload, count))
    rows = np.concatenate(crossed)
    assert len(history) == len(rows)
    history.truncate(cut)
    rows = rows[:cut]
    assert len(history) == len(rows)
    pos, found = 0, [np.zeros((0, 48), np.float32)]
    while pos < len(history):
        payload, count = history.stretch(pos, most)
        assert 1 <= count <= most
        found.append(CODEC.decode(payload, count))
        pos += count
    np.testing.assert_array_equal(np.concatenate(found), rows)


def test_rows_of_one_mode_are_one_payload_however_they_came():
    history, rows = History(48), np.ones((6, 48), np.float32)
    for index in range(6):
        history.append(CODEC.encode(rows[index : index + 1]))
    assert history.stretch(0, 100) == (CODEC.encode(rows), 6)
    assert history.size_bytes == 6 * 28


def test_there_is_nothing_behind_the_end():
    with pytest.raises(IndexError):
        History(48).stretch(0, 1)
