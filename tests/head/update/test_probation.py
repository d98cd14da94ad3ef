import pytest

from isthmus.head.record import Record
from isthmus.head.update.probation import EXCUSED, Probation


@pytest.fixture
def clock():
    class Clock:
        now = 100.0

        def __call__(self):
            return self.now

    return Clock()


@pytest.fixture
def probation(clock):
    return Probation(answers=3, patience_s=10.0, clock=clock)


def record(reason="", *, fallback=""):
    placement = "drop" if reason else "split"
    return Record(device="d", session="", sequence=0, name="", placement=placement, reason=reason, fallback=fallback)


def test_good_answers_prove_it(probation):
    for _ in range(3):
        assert not probation.proved
        probation.write(record())
    assert probation.proved


def test_frames_without_an_answer_are_its_fault_after_a_while(probation, clock):
    probation.write(record("server"))
    clock.now += 9
    assert probation.failure == ""
    probation.write(record(fallback="deadline"))
    clock.now += 1
    assert probation.failure == "2 frames in 10 s had no answer; the last one: deadline"
    assert not probation.proved


def test_a_good_answer_makes_up_for_those_before(probation, clock):
    probation.write(record("server"))
    clock.now += 20
    probation.write(record())
    probation.write(record("server"))
    assert probation.failure == ""


@pytest.mark.parametrize("reason", sorted(EXCUSED))
def test_what_is_not_its_fault_does_not_count(probation, clock, reason):
    probation.write(record(reason))
    clock.now += 1000
    assert (probation.failure, probation.proved) == ("", False)
