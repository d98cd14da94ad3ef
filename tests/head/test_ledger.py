import threading
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.contract.manifest import Boxes, Task
from isthmus.errors import ContractMismatch
from isthmus.head.frame import Frame
from isthmus.head.ledger import Ledger, Origin
from isthmus.head.record import DROP_REASONS
from isthmus.head.sink import Callback

ORIGIN = Origin(placement="split", setting="all", payload_bytes=10)
SCORES = {"scores": np.array([[0, 1, 5, 2, 3]], np.float32)}


def frame(sequence=0, *, age_s=0.0):
    return Frame(sequence=sequence, image=np.zeros((1, 1, 3), np.uint8), captured_s=time.monotonic() - age_s, name="a.png")


@pytest.fixture(scope="module")
def make_ledger(tiny_bundle):
    """A function that makes a ledger and the list that its records go to."""

    def make(*, deadline_s=None, labels=None, session=bytes):
        task = Task() if labels is None else Task(kind="classification", labels=labels)
        records = []
        manifest = tiny_bundle.manifest.model_copy(update={"task": task})
        return Ledger(
            manifest, device_id="camera", deadline_s=deadline_s, sinks=[Callback(records.append)], session=session
        ), records

    return make


def test_an_answer_is_written_with_its_class_and_counted(make_ledger):
    ledger, records = make_ledger(labels=tuple("abcde"), session=lambda: b"\x01\xff")
    ledger.answer(frame(7), SCORES, ORIGIN, {"head": 0.5})
    (record,) = records
    assert (record.sequence, record.session, record.placement, record.setting) == (7, "01ff", "split", "all")
    assert record.classification.label == "c"
    assert record.stages_s == {"head": 0.5}
    assert (ledger.summary.frames, ledger.summary.answered, ledger.summary.payload_bytes) == (1, 1, 10)
    assert ledger.summary.first_answer_s is not None


def test_an_answer_of_a_detector_is_in_pixels_of_its_frame(tiny_bundle):
    boxes = Boxes(family="yolox", score_floor=0.01, score_min=0.3)
    manifest = tiny_bundle.manifest.model_copy(update={"task": Task(kind="detection", labels=("cup",), boxes=boxes)})
    records = []
    ledger = Ledger(manifest, device_id="camera", deadline_s=None, sinks=[Callback(records.append)])
    image = np.zeros((64, 96, 3), np.uint8)
    outputs = {
        "boxes": np.array([[[8, 8, 16, 24]]], np.float32),
        "scores": np.array([[0.9]], np.float32),
        "classes": np.zeros((1, 1), np.int64),
    }
    ledger.answer(Frame(sequence=0, image=image, captured_s=time.monotonic()), outputs, ORIGIN, {})
    # The input is 32 x 32, stretched.
    assert records[0].detections[0].box == (24.0, 16.0, 48.0, 48.0)
    assert records[0].picture is image


def test_a_drop_has_its_picture_too(make_ledger):
    ledger, records = make_ledger()
    dropped = frame()
    ledger.drop(dropped, "gate", stages_s={})
    assert records[0].picture is dropped.image
    assert "picture" not in records[0].as_json()


def test_outputs_without_classes_are_answers_too(make_ledger):
    ledger, records = make_ledger()
    ledger.answer(frame(), {}, ORIGIN, {})
    assert records[0].classification is None


@pytest.mark.parametrize("outputs", [{}, {"scores": np.zeros((1, 4), np.float32)}], ids=["nothing", "four"])
def test_outputs_of_another_contract_enter_nothing(make_ledger, outputs):
    ledger, records = make_ledger(labels=tuple("abcde"))
    with pytest.raises(ContractMismatch):
        ledger.answer(frame(), outputs, ORIGIN, {})
    assert records == []
    assert (ledger.summary.frames, ledger.summary.answered) == (0, 0)


def test_a_late_answer_is_a_drop(make_ledger):
    ledger, records = make_ledger(deadline_s=0.1)
    ledger.answer(frame(age_s=5), SCORES, ORIGIN, {})
    assert records[0].reason == "deadline"
    assert "answered after 5" in records[0].detail
    assert (ledger.summary.answered, dict(ledger.summary.dropped), ledger.summary.first_answer_s) == (0, {"deadline": 1}, None)


def test_the_time_that_remains_counts_from_the_capture(make_ledger):
    assert make_ledger()[0].remaining_s(frame(age_s=1)) is None
    assert 8 < make_ledger(deadline_s=10)[0].remaining_s(frame(age_s=1)) <= 9
    assert make_ledger(deadline_s=0.5)[0].remaining_s(frame(age_s=1)) < 0


FATES = st.lists(st.sampled_from(["answer", *DROP_REASONS]), max_size=30)


@given(fates=FATES, threads=st.integers(1, 4))
def test_the_sums_agree_with_the_records_for_any_fates_from_any_threads(make_ledger, fates, threads):
    ledger, records = make_ledger()

    def enter(numbers):
        for number in numbers:
            if fates[number] == "answer":
                ledger.answer(frame(number), SCORES, ORIGIN, {})
            else:
                ledger.drop(frame(number), fates[number], stages_s={})

    workers = [threading.Thread(target=enter, args=(range(start, len(fates), threads),)) for start in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    summary = ledger.summary
    assert summary.frames == len(fates) == summary.answered + sum(summary.dropped.values())
    assert summary.dropped == {fate: fates.count(fate) for fate in set(fates) - {"answer"}}
    assert sorted((record.sequence, record.reason or "answer") for record in records) == list(enumerate(fates))
