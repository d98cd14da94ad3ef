import dataclasses
import threading
import time

import numpy as np
import pytest

from isthmus.errors import BundleError, DeviceError
from isthmus.head.frame import Frame
from isthmus.head.ledger import Ledger
from isthmus.head.pending import Pending
from isthmus.head.placement import Local
from isthmus.head.sink import Callback
from isthmus.head.standby import Standby, check_network

pytestmark = [pytest.mark.usefixtures("no_threads_left"), pytest.mark.timeout(60)]
WAIT_S = 20
FOREVER_S = 3600.0


class Gated(Local):
    """A network that computes when the test lets it."""

    def __init__(self, bundle):
        super().__init__(bundle)
        self.gate = threading.Event()
        self.gate.set()
        self.began = threading.Semaphore(0)
        self.error = None

    def answer(self, picture):
        self.began.release()
        assert self.gate.wait(WAIT_S)
        if self.error:
            raise self.error
        return super().answer(picture)


class Lane:
    """A standby, its network and what it entered."""

    def __init__(self, bundle, **options):
        self.records, self.entered = [], threading.Semaphore(0)
        self.ledger = Ledger(bundle.manifest, device_id="camera", deadline_s=None, sinks=[Callback(self.keep)])
        self.network = Gated(bundle)
        self.standby = Standby(self.network, self.ledger, **options)

    def keep(self, record):
        self.records.append(record)
        self.entered.release()

    def hold(self):
        """Let the lane begin with a frame and hang there."""
        self.network.gate.clear()
        while self.network.began.acquire(blocking=False):
            pass
        held = self.pending()
        assert self.standby.take(held, "link")
        assert self.network.began.acquire(timeout=WAIT_S)
        return held

    def pending(self, deadline_in_s=None, sequence=0):
        now = time.monotonic()
        frame = Frame(sequence=sequence, image=np.zeros((32, 32, 3), np.uint8), captured_s=now)
        return Pending(frame, {}, None if deadline_in_s is None else now + deadline_in_s)

    def fates(self, count):
        for _ in range(count):
            assert self.entered.acquire(timeout=WAIT_S)
        return [(record.sequence, record.reason or record.placement, record.fallback) for record in self.records]


@pytest.fixture
def lane(make_tiny_bundle):
    made = Lane(make_tiny_bundle(local=True))
    with made.standby:
        yield made
        made.network.gate.set()


def test_a_frame_is_answered_by_the_network_of_the_device(lane, make_tiny_bundle):
    assert lane.standby.take(lane.pending(), "link")
    assert lane.fates(1) == [(0, "local", "link")]
    [record] = lane.records
    want = Local(make_tiny_bundle(local=True)).answer(np.zeros((32, 32, 3), np.uint8))
    assert record.setting == "local"
    assert np.array_equal(record.outputs["scores"], want.outputs["scores"])
    assert lane.ledger.summary.fallbacks == {"link": 1}


def test_a_frame_that_was_chosen_for_the_device_is_no_fallback(lane):
    assert lane.standby.take(lane.pending())
    assert lane.fates(1) == [(0, "local", "")]
    assert lane.ledger.summary.fallbacks == {}


def test_a_watched_frame_is_answered_for_its_deadline(lane):
    # Once slow, it begins long before there is no time left, however busy the machine is.
    lane.standby._agenda.learn(8.0)
    lane.standby.watch(lane.pending(10.1))
    assert lane.fates(1) == [(0, "local", "deadline")]


def test_a_frame_that_is_settled_or_has_no_deadline_is_not_answered_again(lane):
    settled = lane.pending(0.2)
    settled.claim()
    lane.standby.watch(settled)
    lane.standby.watch(lane.pending())
    assert lane.standby.take(lane.pending(sequence=7), "link")
    assert lane.fates(1) == [(7, "local", "link")]


def test_the_server_may_be_faster_than_the_lane(lane):
    held = lane.hold()
    assert held.claim()
    lane.network.gate.set()
    lane.standby.close(WAIT_S)
    assert (lane.records, lane.standby.unneeded) == ([], 1)


def test_a_watched_frame_that_is_wanted_now_is_answered_once_for_the_new_reason(lane):
    lane.hold()
    pending = lane.pending(FOREVER_S, sequence=3)
    lane.standby.watch(pending)
    assert lane.standby.take(pending, "link", "gone")
    lane.network.gate.set()
    assert lane.fates(2) == [(0, "local", "link"), (3, "local", "link")]


def test_a_frame_that_is_being_computed_is_answered_for_the_latest_reason(lane):
    held = lane.hold()
    assert lane.standby.take(held, "server")
    lane.network.gate.set()
    assert lane.fates(1) == [(0, "local", "server")]


def test_the_newest_frames_win_and_the_others_are_dropped_for_their_reason(lane):
    lane.hold()
    for sequence in range(1, 5):
        assert lane.standby.take(lane.pending(sequence=sequence), "link" if sequence % 2 else "")
    lane.network.gate.set()
    assert lane.fates(5)[:2] == [(1, "link", ""), (2, "newer", "")]
    assert {fate[:2] for fate in lane.fates(0)[2:]} == {(0, "local"), (3, "local"), (4, "local")}


def test_what_cannot_be_answered_in_time_stays_with_the_caller(lane):
    assert not lane.standby.take(lane.pending(-1.0), "newer")
    assert lane.records == []


def test_what_waits_too_long_is_dropped(lane):
    lane.hold()
    late = lane.pending(0.2, sequence=2)
    assert lane.standby.take(late, "newer")
    while time.monotonic() < late.deadline_at:
        threading.Event().wait(0.01)
    lane.network.gate.set()
    assert (2, "newer", "") in lane.fates(2)


def test_whoever_must_not_lose_a_frame_waits_for_room(make_tiny_bundle):
    lane = Lane(make_tiny_bundle(local=True), waits=True)
    with lane.standby:
        lane.hold()
        feeder = threading.Thread(target=lambda: [lane.standby.take(lane.pending(sequence=n), "link") for n in range(1, 9)])
        feeder.start()
        lane.network.gate.set()
        assert {fate[:2] for fate in lane.fates(9)} == {(sequence, "local") for sequence in range(9)}
        feeder.join(WAIT_S)


def test_a_network_that_fails_drops_what_only_it_could_answer(lane):
    lane.network.error = DeviceError("out of memory")
    assert lane.standby.take(lane.pending(), "link", "the link is down")
    assert lane.fates(1) == [(0, "link", "")]
    lane.network.error = None
    assert lane.standby.take(lane.pending(sequence=1), "link")
    assert lane.fates(1)[1:] == [(1, "local", "link")]


def test_a_sink_that_fails_closes_the_lane_and_is_told(make_tiny_bundle):
    told, knows = [], threading.Event()
    lane = Lane(make_tiny_bundle(local=True), on_error=lambda error: (told.append(error), knows.set()))
    lane.records = None
    with lane.standby:
        assert lane.standby.take(lane.pending(), "link")
        assert knows.wait(WAIT_S)
        assert not lane.standby.take(lane.pending(), "link")
    assert isinstance(told[0], AttributeError)


def test_a_lane_that_closes_answers_what_is_wanted_while_it_has_time(lane):
    lane.hold()
    lane.standby.take(lane.pending(sequence=1), "link")
    threading.Timer(0.1, lane.network.gate.set).start()
    lane.standby.close(WAIT_S)
    assert lane.fates(2) == [(0, "local", "link"), (1, "local", "link")]
    assert not lane.standby.take(lane.pending(), "link")


def test_a_lane_that_closes_at_once_drops_what_waits(lane):
    lane.hold()
    lane.standby.take(lane.pending(sequence=1))
    threading.Timer(0.1, lane.network.gate.set).start()
    lane.standby.close()
    assert set(lane.fates(2)) == {(0, "local", "link"), (1, "stopped", "")}


def test_a_network_with_other_answers_than_the_golden_ones_is_refused(make_tiny_bundle):
    bundle = make_tiny_bundle(local=True)
    check_network(bundle, Local(bundle))
    other = make_tiny_bundle(local=True, seed=9)
    with pytest.raises(BundleError, match="fails the gate 'local outputs' here"):
        check_network(bundle, Local(other))


def test_a_network_of_which_the_manifest_does_not_speak_is_refused(make_tiny_bundle):
    bundle = make_tiny_bundle(local=True)
    silent = dataclasses.replace(bundle, manifest=bundle.manifest.model_copy(update={"local": None}))
    with pytest.raises(BundleError, match=r"holds local\.onnx, and its manifest does not say what that is"):
        check_network(silent, Local(bundle))
