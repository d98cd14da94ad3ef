"""A camera behind links that break in every way, with a real server: frames are told of, and what must be delivered is, once."""

import random
import signal
import threading
import time
from collections import Counter

import numpy as np
import pytest

from isthmus.bench import programs
from isthmus.devices import link as profiles
from isthmus.devices.shaper_thread import run_in_thread
from isthmus.head.agent import Agent
from isthmus.head.delivery import Delivery, DeliverySettings
from isthmus.head.frame import Frame, Source
from isthmus.head.hearing import Patience
from isthmus.head.ledger import Ledger
from isthmus.head.link import Link
from isthmus.head.placement import Local, Offload, Split
from isthmus.head.rig import Rig
from isthmus.head.search import LinkSettings
from isthmus.head.sink import Callback
from isthmus.head.sources.paced import Paced
from isthmus.head.standby import Standby

pytestmark = pytest.mark.timeout(180)
FRAMES, FPS = 60, 30
HASTY = LinkSettings(
    connect_timeout_s=1.0, probe_s=0.05, patience=Patience(echo_s=0.1, silent_s=0.4, round_trips=0.0, answer_s=60.0)
)
"""The same mechanisms, so much faster that an outage of one second is a long one."""


class Scene(Source):
    """Pictures of noise; at some of them something happens to the link."""

    def __init__(self, troubles, side=32):
        self._troubles = troubles
        self._side = side
        self._next = 0

    def read(self):
        if self._next == FRAMES:
            return None
        sequence, self._next = self._next, self._next + 1
        self._troubles.get(sequence, lambda: None)()
        image = np.random.default_rng(sequence).integers(0, 256, (self._side, self._side, 3), np.uint8)
        return Frame(sequence=sequence, image=image, captured_s=time.monotonic())


@pytest.fixture(scope="module")
def bundle(make_tiny_bundle):
    return make_tiny_bundle(local=True)


@pytest.fixture(scope="module")
def server(bundle):
    with programs.server(bundle.folder) as running:
        yield running


@pytest.fixture
def far(server):
    """The link to the server."""
    with run_in_thread(server.match["grpc"], profiles.parse("unlimited/10ms")) as shaper:
        yield shaper


@pytest.fixture
def later(far):
    """A function that does something to the link after a while; the link stays until all is done."""
    timers = []

    def after(seconds, work, *arguments):
        timers.append(threading.Timer(seconds, work, arguments))
        timers[-1].start()

    yield after
    for timer in timers:
        timer.join()


@pytest.fixture
def film(bundle, tmp_path):
    """A function that runs a camera over troubles, and gives its records when all is said."""

    def go(address, troubles, *, placement=None, side=32):
        records, folder = [], DeliverySettings(folder=tmp_path / "queue")
        with Link(bundle, [address], device_id="camera", settings=HASTY) as link:
            link.wait_connected(60)
            ledger = Ledger(bundle.manifest, device_id="camera", deadline_s=0.5, sinks=[Callback(records.append)])
            with Delivery(folder, ledger) as delivery, Standby(Local(bundle), ledger) as standby:
                rig = Rig(placement=placement or Split(bundle), ledger=ledger, link=link, standby=standby)
                Agent(source=Paced(Scene(troubles, side), FPS), rig=rig, delivery=delivery, finish_s=30.0).run()
                assert delivery.outstanding == 0
        return records

    return go


def assert_all_is_said(records, placement="split"):
    """Each frame has one record at most of its live way, and just one answer of the server."""
    live = Counter(record.sequence for record in records if not record.queued)
    remote = Counter(record.sequence for record in records if record.placement == placement)
    assert {record.words for record in records if record.reason} == set()
    assert remote == Counter(range(FRAMES))
    assert set(live.values()) <= {1}


@pytest.mark.parametrize("seconds", [0.2, 1.2])
def test_outages_short_and_long(far, film, later, seconds):
    """The link is gone for a while; what was on its way is lost, and connections are broken."""

    def come_back():
        far.reset()
        far.set_up(True)

    def go():
        far.set_up(False)
        later(seconds, come_back)

    records = film(far.address, {10: go})
    assert_all_is_said(records)
    assert {record.fallback for record in records} >= {"", "link"}


def test_an_outage_that_breaks_no_connection(far, film, later):
    def go():
        far.set_up(False)
        later(1.2, far.set_up, True)

    assert_all_is_said(film(far.address, {10: go}))


def test_a_link_that_stalls_over_lost_packets(far, film, later):
    """At 5% loss TCP stalls for 0.2 s at one packet in twenty; here stalls are half as long and come with each third frame."""
    chances = random.Random(5)

    def stall():
        if chances.random() < 0.33:
            far.set_up(False)
            later(0.1, far.set_up, True)

    assert_all_is_said(film(far.address, dict.fromkeys(range(FRAMES), stall)))


def test_a_rate_that_drops_to_a_tenth(far, film):
    far.set_profile(profiles.parse("2mbit/10ms"))
    slow, quick = profiles.parse("200kbit/10ms"), profiles.parse("2mbit/10ms")
    troubles = {10: lambda: far.set_profile(slow), 40: lambda: far.set_profile(quick)}
    assert_all_is_said(film(far.address, troubles, placement=Offload(), side=64), "offload")


def test_a_reset_in_mid_message(far, film):
    """Pictures of some 10 kB take 0.1 s, so that each reset meets one on its way."""
    far.set_profile(profiles.parse("1mbit/10ms"))
    assert_all_is_said(film(far.address, dict.fromkeys((10, 20, 21, 40), far.reset), placement=Offload(), side=96), "offload")


def test_a_server_that_is_silent_for_a_while(server, far, film, later):
    def go():
        server._process.send_signal(signal.SIGSTOP)
        later(1.5, server._process.send_signal, signal.SIGCONT)

    records = film(far.address, {10: go})
    assert_all_is_said(records)
    assert {record.fallback for record in records} > {""}


def test_a_server_that_is_killed_and_comes_back(bundle, film):
    with programs.server(bundle.folder) as first:
        address = first.match["grpc"]
        with run_in_thread(address, profiles.parse("unlimited/10ms")) as shaper:
            again = []

            def restart():
                first._process.kill()
                first._process.wait()
                threading.Thread(target=lambda: again.append(begin())).start()

            def begin():
                return programs.server(bundle.folder, extra=["--grpc-port", address.rpartition(":")[2]]).__enter__()

            try:
                assert_all_is_said(film(shaper.address, {10: restart}))
            finally:
                again[0].__exit__(None, None, None)
