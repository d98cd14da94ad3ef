import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some
from hypothesis.extra import numpy as arrays

from isthmus.export.filtering import figures, parting

SOME = arrays.arrays(np.float32, some.integers(1, 20), elements=some.integers(-4, 4))


@given(positive=SOME, negative=SOME)
def test_the_area_is_the_share_of_pairs_in_the_right_order(positive, negative):
    right = (positive[:, None] > negative[None, :]).mean() + (positive[:, None] == negative[None, :]).mean() / 2
    assert figures.auc(positive, negative) == pytest.approx(right)


def test_without_a_pair_there_is_no_area():
    assert figures.auc(np.zeros(0), np.ones(3)) is None


def test_events_frames_and_drops_are_counted(film):
    #                                    0123456789
    (stretch,) = parting.in_time(film("..##?.#..#"), 1, ("test",)).values()
    scores = np.array([0, 3, 3, 3, 9, 0, 0, 0, 1, 3], np.float32)
    found = figures.figures("test", [stretch], [scores], 2.0, lambda codes: 100 + int(codes[0][0, 0, 0]))
    assert (found.frames, found.seen, found.empty, found.events) == (10, 4, 5, 3)
    assert found.recall_events.value == pytest.approx(2 / 3)
    assert found.recall_frames == 0.75
    assert found.empty_dropped == pytest.approx(4 / 5)
    # Frames 0, 5, 7 and 8 are empty and dropped.
    assert found.payload_bytes == 105
