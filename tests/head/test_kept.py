import threading

import pytest

from isthmus.head.kept import Kept
from isthmus.head.record import Identity


@pytest.fixture
def kept():
    return Kept(1, Identity("camera", "ab", 0, "", 0.0), threading.RLock(), lambda _kept: None)


def test_a_picture_waits_once_its_frame_is_released(kept):
    assert not kept.waits
    kept.release()
    assert kept.waits
    assert not kept.depart()


def test_a_picture_does_not_wait_while_its_frame_is_under_way(kept):
    assert kept.depart()
    kept.release()
    assert not kept.waits
    kept.land()
    assert kept.waits


def test_a_frame_that_came_back_is_on_its_live_way_again(kept):
    kept.depart()
    kept.land()
    assert not kept.waits
    assert kept.depart()


def test_a_picture_that_is_being_sent_from_the_disk_does_not_wait(kept):
    kept.release()
    kept.take()
    assert not kept.waits
    kept.land()
    assert kept.waits
