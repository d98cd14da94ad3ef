import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.contract.detection import Detection
from isthmus.errors import DeviceError
from isthmus.head import annotated
from isthmus.head.annotated import Annotated
from isthmus.head.record import Record

PICTURE = np.full((100, 60, 3), 50, np.uint8)
SEEN = Detection(index=1, label="cup", score=0.9, box=(10.0, 20.0, 30.0, 38.0))


class Kept:
    """Keeps what it gets, or fails at a picture."""

    name = "kept:"

    def __init__(self, *, fails_at=None, fails_at_the_end=False):
        self.pictures, self.sequences, self.closed = [], [], False
        self._fails_at, self._fails_at_the_end = fails_at, fails_at_the_end

    def put(self, picture, record):
        if record.sequence == self._fails_at:
            raise DeviceError("the disk is full")
        self.pictures.append(picture)
        self.sequences.append(record.sequence)

    def close(self):
        self.closed = True
        if self._fails_at_the_end:
            raise DeviceError("the end is missing")


def record(sequence, placement="split", **fields):
    return Record(device="d", session="", sequence=sequence, name="", placement=placement, picture=PICTURE, **fields)


@given(order=st.permutations(range(12)))
def test_frames_are_shown_in_order_whatever_the_order_of_answers(order):
    canvas = Kept()
    sink = Annotated(canvas)
    for sequence in order:
        sink.write(record(sequence))
    sink.close()
    assert canvas.sequences == list(range(12))
    assert canvas.closed


def test_a_frame_without_an_answer_shows_the_last_boxes_in_grey_and_why():
    canvas = Kept()
    sink = Annotated(canvas)
    sink.write(record(0, detections=(SEEN,)))
    sink.write(record(1, "drop", reason="newer"))
    sink.write(record(2, detections=()))
    sink.close()
    edge = [picture[37, 12:28] for picture in canvas.pictures]
    assert len(np.unique(edge[0].reshape(-1, 3), axis=0)) == 1
    assert (edge[1] != PICTURE[37, 12:28]).any()
    assert (edge[1] != edge[0]).any()
    assert np.array_equal(canvas.pictures[2], PICTURE)


def test_behind_a_frame_that_is_overdue_the_others_are_shown(monkeypatch):
    monkeypatch.setattr(annotated, "HELD_BYTES_MAX", 3 * PICTURE.nbytes)
    canvas = Kept()
    sink = Annotated(canvas)
    for sequence in (0, 2, 3, 4, 5, 6, 1, 7):
        sink.write(record(sequence))
    sink.close()
    assert canvas.sequences == [0, 2, 3, 4, 5, 6, 7]


def test_frames_that_never_came_do_not_hold_up_the_end():
    canvas = Kept()
    sink = Annotated(canvas)
    for sequence in (3, 1):
        sink.write(record(sequence))
    sink.close()
    assert canvas.sequences == [1, 3]


def test_records_without_a_picture_are_passed_over():
    canvas = Kept()
    sink = Annotated(canvas)
    sink.write(Record(device="d", session="", sequence=0, name="", placement="split"))
    sink.write(record(1))
    sink.close()
    assert canvas.sequences == [1]


def test_a_failure_is_told_once_and_nobody_waits_for_ever():
    sink = Annotated(Kept(fails_at=2))

    def write():
        for sequence in range(100):
            sink.write(record(sequence))

    with pytest.raises(DeviceError, match="the disk is full"):
        write()
    sink.close()


def test_a_failure_at_the_end_is_told_by_close():
    sink = Annotated(Kept(fails_at_the_end=True))
    sink.write(record(0))
    with pytest.raises(DeviceError, match="the end is missing"):
        sink.close()


def test_a_failure_that_nobody_heard_of_is_told_by_close():
    sink = Annotated(Kept(fails_at=0))
    sink.write(record(0))
    with pytest.raises(DeviceError, match="the disk is full"):
        sink.close()


def test_whoever_writes_waits_for_a_drawing_that_is_behind():
    go = threading.Event()

    class Slow(Kept):
        def put(self, picture, record):
            go.wait()
            super().put(picture, record)

    canvas = Slow()
    sink = Annotated(canvas)
    written = []

    def write():
        for sequence in range(40):
            sink.write(record(sequence))
            written.append(sequence)

    thread = threading.Thread(target=write)
    thread.start()
    while not sink._queue.full():
        go.wait(0.001)
    assert thread.is_alive()
    assert len(written) <= annotated.QUEUED_MAX + 1
    go.set()
    thread.join()
    sink.close()
    assert canvas.sequences == list(range(40))


def test_what_waited_on_the_disk_is_not_shown():
    canvas = Kept()
    sink = Annotated(canvas)
    sink.write(record(0, queued=True))
    sink.write(record(1))
    sink.close()
    assert canvas.sequences == [1]
