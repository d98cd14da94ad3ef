import itertools
import threading
import time

import numpy as np
import pytest

from isthmus.errors import SourceError
from isthmus.head.frame import Frame, Source
from isthmus.head.sources.reconnecting import Reconnecting


class Flaky(Source):
    """Gives so many frames, then breaks, or ends."""

    description = "flaky"

    def __init__(self, frames, *, ends=False):
        self._left = frames
        self._ends = ends
        self.closed = False

    def read(self):
        if self._left:
            self._left -= 1
            return Frame(sequence=0, image=np.zeros((2, 2, 3), np.uint8), captured_s=time.monotonic())
        self.unreadable += 1
        if self._ends:
            return None
        raise SourceError("flaky broke")

    def close(self):
        self.closed = True


class Plan:
    """Opens what is planned, one after the other; a number of frames, or None for a source that cannot be opened."""

    def __init__(self, *steps):
        self._steps = iter(steps)
        self.opened = []
        self.waited_s = []

    def __call__(self):
        step = next(self._steps)
        if step is None:
            raise SourceError("nobody there")
        self.opened.append(step if isinstance(step, Flaky) else Flaky(step))
        return self.opened[-1]

    def source(self):
        return Reconnecting(self, pauses=lambda: itertools.count(1.0), wait=self.waited_s.append)


def test_frames_are_numbered_on_through_breaks():
    plan = Plan(2, 3, Flaky(1, ends=True))
    with plan.source() as source:
        assert [frame.sequence for frame in source] == list(range(6))
        assert (source.reconnects, source.unreadable) == (2, 3)
    assert all(opened.closed for opened in plan.opened)


def test_attempts_go_on_with_ever_longer_pauses_until_one_gives_a_frame():
    plan = Plan(1, None, None, 0, Flaky(1, ends=True))
    with plan.source() as source:
        assert len(list(source)) == 2
    assert plan.waited_s == [1.0, 2.0, 3.0, 4.0]


def test_a_source_that_never_worked_is_told_at_once():
    with pytest.raises(SourceError, match="nobody there"):
        Plan(None).source()
    with Plan(0).source() as source, pytest.raises(SourceError, match="flaky broke"):
        source.read()


def test_a_pause_is_interrupted():
    source = Reconnecting(Plan(1), pauses=lambda: itertools.repeat(1000.0))
    assert source.read() is not None
    timer = threading.Timer(0.05, source.interrupt)
    timer.start()
    assert source.read() is None
    timer.join()


def test_a_source_that_opens_while_it_is_interrupted_is_not_read():
    plan = Plan(1, 1)
    source = plan.source()
    source.read()
    source._open_source = lambda: [source.interrupt(), plan()][1]
    assert source.read() is None
    source.close()
    assert plan.opened[1].closed
