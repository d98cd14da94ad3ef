import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.head.agenda import FREAKS, REMEMBERED, SLACK, SLACK_S, WANTED_MAX, WATCHED_MAX, Agenda, Task
from isthmus.head.frame import Frame
from isthmus.head.pending import Pending

FRAME = Frame(sequence=0, image=np.zeros((1, 1, 3), np.uint8), captured_s=0.0)


def task(deadline_at=None, *, wanted=False):
    return Task(pending=Pending(FRAME, {}, deadline_at), reason="deadline", wanted=wanted)


@pytest.fixture
def agenda():
    """One whose frames are to be given 0.1 s, a little more than they take."""
    made = Agenda()
    made.learn((0.1 - SLACK_S) / SLACK)
    assert made.expected_s == pytest.approx(0.1)
    return made


def test_an_empty_agenda_has_nothing_to_do(agenda):
    assert (len(agenda), agenda.next_at(), agenda.take(5.0), agenda.clear()) == (0, float("inf"), None, [])


def test_a_watched_frame_is_begun_just_early_enough(agenda):
    watched = task(1.0)
    agenda.add(watched)
    assert agenda.next_at() == pytest.approx(0.9)
    assert agenda.take(0.89) is None
    assert agenda.take(0.9001) is watched
    assert len(agenda) == 0


def test_frames_that_are_due_together_are_begun_earlier(agenda):
    first, second, third = task(1.0), task(1.01), task(1.02)
    for one in (third, first, second):
        agenda.add(one)
    # 1.02 - 3 x 0.1
    assert agenda.next_at() == pytest.approx(0.72)
    assert [agenda.take(0.73), agenda.take(0.83), agenda.take(0.93)] == [first, second, third]


def test_a_wanted_frame_is_begun_at_once_and_the_most_urgent_one_first(agenda):
    late, early, whenever = task(9.0, wanted=True), task(8.0, wanted=True), task(wanted=True)
    agenda.add(late)
    agenda.add(early)
    assert agenda.next_at() == -float("inf")
    assert agenda.take(0.0) is early
    agenda.add(whenever)
    assert [agenda.take(0.0), agenda.take(0.0)] == [late, whenever]


def test_the_newest_wanted_frames_win(agenda):
    tasks = [task(wanted=True) for _ in range(WANTED_MAX + 2)]
    assert [agenda.add(one) for one in tasks] == [[]] * WANTED_MAX + [[tasks[0]], [tasks[1]]]
    assert agenda.wanted == WANTED_MAX


def test_of_watched_frames_only_so_many_are_kept_and_none_is_handed_back(agenda):
    assert [agenda.add(task(1.0)) for _ in range(WATCHED_MAX + 3)] == [[]] * (WATCHED_MAX + 3)
    assert len(agenda) == WATCHED_MAX


def test_what_cannot_be_done_in_time_is_let_go_and_handed_back_if_nobody_else_has_it(agenda):
    watched, wanted, possible = task(1.0), task(1.0, wanted=True), task(1.2, wanted=True)
    for one in (watched, wanted, possible):
        agenda.add(one)
    assert agenda.forget_hopeless(0.99) == [wanted]
    assert agenda.take(0.99) is possible


def test_settled_frames_are_forgotten(agenda):
    settled, other = task(wanted=True), task(wanted=True)
    agenda.add(settled)
    agenda.add(other)
    settled.pending.claim()
    agenda.forget_settled()
    assert agenda.clear() == [other]


def test_a_frame_is_taken_off(agenda):
    one = task(1.0)
    agenda.add(one)
    agenda.remove(one.pending)
    agenda.remove(one.pending)
    assert len(agenda) == 0


def test_a_frame_is_given_what_others_took_but_for_freaks(agenda):
    usual_s = agenda.expected_s
    for _ in range(REMEMBERED - 1):
        agenda.learn((usual_s - SLACK_S) / SLACK)
    for _ in range(FREAKS):
        agenda.learn(5.0)
        assert agenda.expected_s == pytest.approx(usual_s)
    agenda.learn(5.0)
    assert agenda.expected_s == pytest.approx(5.0 * SLACK + SLACK_S)


def test_one_freak_makes_nothing_impossible(agenda):
    for took_s in (0.01, 0.01, 5.0):
        agenda.learn(took_s)
    assert agenda.is_possible(task(0.2).pending, 0.0)


@given(st.lists(st.floats(0.0, 2.0), max_size=6), st.lists(st.floats(0.001, 0.2), min_size=1, max_size=5))
def test_whatever_takes_no_longer_than_expected_is_done_in_time_or_was_never_possible(deadlines, durations):
    agenda = Agenda()
    for took_s in durations:
        agenda.learn(took_s)
    tasks = [task(deadline) for deadline in deadlines]
    for one in tasks:
        agenda.add(one)
    # Possible: one after the other by deadline, beginning at 0, none is late.
    order = sorted(tasks, key=lambda one: one.deadline_at)
    possible = all((index + 1) * agenda.expected_s <= one.deadline_at for index, one in enumerate(order))
    now = 0.0
    while len(agenda):
        now = max(now, agenda.next_at())
        begun = agenda.take(now)
        assert begun is not None
        now += agenda.expected_s
        assert not possible or now <= begun.deadline_at + 1e-9
