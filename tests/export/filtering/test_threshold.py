import numpy as np
import pytest

from isthmus.contract.binomial import lower_bound
from isthmus.errors import ExportError
from isthmus.export.filtering import parting, threshold


@pytest.fixture
def calibration(film):
    """A function that makes a stretch of so many events of one frame each, and their scores; empty frames score -9."""

    def make(scores):
        (stretch,) = parting.in_time(film(".#" * len(scores)), 0, ("test",)).values()
        given = np.full(2 * len(scores), -9.0, np.float32)
        given[1::2] = scores
        return [stretch], [given]

    return make


def choose(calibration, scores, *, recall_min, uncertified=False):
    return threshold.choose(*calibration(scores), recall_min=recall_min, confidence=0.95, uncertified=uncertified)


@pytest.mark.parametrize(("events", "missed"), [(29, 0), (45, 0), (46, 1), (61, 2)])
def test_as_many_events_are_missed_as_the_bound_allows(calibration, events, missed):
    scores = np.random.default_rng(events).permutation(events).astype(np.float32)
    chosen = choose(calibration, scores, recall_min=0.9)
    assert (scores < chosen.value).sum() == missed
    assert chosen.certified
    assert chosen.recall_shown == lower_bound(events - missed, events, 0.95) >= 0.9


def test_too_few_events_are_refused_and_it_is_said_how_many_are_needed(calibration):
    with pytest.raises(ExportError, match=r"has 28 events, which show a recall of 89\.9%.*90\.0% is wanted, which takes 29"):
        choose(calibration, np.zeros(28), recall_min=0.9)


def test_where_it_cannot_be_shown_every_event_passes(calibration):
    chosen = choose(calibration, np.array([4.0, 1.0, 3.0]), recall_min=0.99, uncertified=True)
    assert not chosen.certified
    assert 0.9 < chosen.value < 1.0
    assert chosen.recall_shown == pytest.approx(0.05 ** (1 / 3))


def test_frames_of_passing_events_that_are_dropped_count_for_the_audit(film):
    (stretch,) = parting.in_time(film(".#####." * 40), 0, ("test",)).values()
    scores = np.tile(np.array([-9, 0, 5, 5, 5, 5, -9], np.float32), 40)
    chosen = threshold.choose([stretch], [scores], recall_min=0.9, confidence=0.95, uncertified=False)
    assert chosen.value == pytest.approx(5.0, rel=2e-3)
    assert chosen.missed_frames_max == pytest.approx(0.2)


def test_the_bound_holds_as_often_as_it_is_promised(calibration):
    random = np.random.default_rng(1)
    kept = 0
    for _ in range(200):
        chosen = choose(calibration, random.random(46).astype(np.float32), recall_min=0.9)
        # Scores are uniform: the share above the threshold is known without drawing.
        kept += 1 - chosen.value >= 0.9
    assert kept >= 180  # 190 expected; below 180 once in a thousand
