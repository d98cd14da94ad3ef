from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some
from hypothesis.extra import numpy as arrays

from isthmus.export.filtering import events
from isthmus.export.filtering.events import Event

SEEN = arrays.arrays(bool, some.integers(0, 60))


def test_a_film_without_anything_has_no_events():
    assert events.find(np.zeros(5, bool), pause=1) == []


@given(seen=SEEN, pause=some.integers(0, 6))
def test_events_hold_all_that_is_seen_and_lie_further_apart_than_a_pause(seen, pause):
    found = events.find(seen, pause)
    assert not seen[events.outside(len(seen), found)].any()
    assert all(seen[event.first] and seen[event.last] for event in found)
    assert all(later.first - earlier.last > pause + 1 for earlier, later in pairwise(found))
    for event in found:
        inside = np.flatnonzero(seen[event.first : event.last + 1])
        assert len(inside) == 1 or np.diff(inside).max() <= pause + 1


@given(scores=arrays.arrays(np.float64, some.integers(1, 30), elements=some.floats(-5, 5)), threshold=some.floats(-5, 5))
def test_an_event_passes_if_at_least_four_of_five_of_its_frames_do(scores, threshold):
    assert (events.score(scores) >= threshold) == (5 * (scores >= threshold).sum() >= 4 * len(scores))


@pytest.mark.parametrize(
    ("pause", "wanted"), [(0, [Event(first=0, last=1), Event(first=3, last=3)]), (1, [Event(first=0, last=3)])]
)
def test_a_pause_ends_an_event_if_it_is_long_enough(pause, wanted):
    assert events.find(np.array([1, 1, 0, 1, 0, 0], bool), pause) == wanted
