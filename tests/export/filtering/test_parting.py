import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

from isthmus.errors import ExportError
from isthmus.export.filtering import events, parting
from isthmus.export.filtering.footage import Film
from isthmus.export.filtering.parting import PARTS


def numbers(stretch):
    return stretch.codes[0].ravel().tolist()


def test_a_film_is_cut_between_events_and_what_is_near_a_cut_is_left_out(film):
    parts = parting.in_time(film("..#.....#.....#.."), 1)
    # Cuts lie in the middle between events: before frames 5 and 11.
    assert [numbers(parts[part]) for part in PARTS] == [[0, 1, 2, 3], [6, 7, 8, 9], [12, 13, 14, 15, 16]]
    assert [len(parts[part].events) for part in PARTS] == [1, 1, 1]


def test_events_are_given_out_by_the_shares(film):
    parts = parting.in_time(film(".#......" * 10), 1)
    assert [len(parts[part].events) for part in PARTS] == [4, 4, 2]


@given(text=some.text("#.?", min_size=1, max_size=100), pause=some.integers(0, 5))
def test_no_event_and_no_frame_is_in_two_parts(text, pause):
    codes = np.arange(len(text)).reshape(-1, 1, 1, 1)
    told = np.array(list(text))
    film = Film(name="text", fps=1.0, codes=(codes,), seen=told == "#", known=told != "?")
    parts = parting.in_time(film, pause)
    frames = [number for part in PARTS for number in numbers(parts[part])]
    assert frames == sorted(set(frames))
    found = events.find(film.seen, pause)
    assert sum(len(parts[part].events) for part in PARTS) == len(found)
    assert sum(int(parts[part].seen.sum()) for part in PARTS) == film.seen.sum()
    counts = [len(parts[part].events) for part in PARTS]
    assert all(counts[: min(len(found), 3)]), "each part gets an event before another gets two"


def test_what_is_not_known_is_neither_seen_nor_empty(film):
    (whole,) = parting.in_time(film("..??##?.#.."), 1, ("test",)).values()
    assert np.flatnonzero(whole.empty).tolist() == [0, 1, 7, 9, 10]
    assert len(whole.events) == 2


def test_a_film_in_which_nothing_happens_is_cut_by_its_frames(film):
    assert [len(one) for one in parting.in_time(film("." * 100), 0).values()] == [40, 40, 20]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("..#..#.....", "the test part of the film has 0 events"),
        ("#..#..#..", "the train part of the film has 1 events and 0 empty frames; it needs both. All parts have 3 events"),
    ],
)
def test_parts_from_which_nothing_can_be_told_are_refused(film, text, message):
    parts = {part: [one] for part, one in parting.in_time(film(text), 1).items()}
    with pytest.raises(ExportError, match=message):
        parting.check(parts, 1.0)
