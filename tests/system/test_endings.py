"""A server that ends, gently or not, under devices that go on: real processes, real links."""

import signal
import threading
import time

import numpy as np
import pytest

from isthmus.bench import programs
from isthmus.codec.codec import Codec
from isthmus.contract.generated import split_pb2 as wire
from isthmus.devices import link as profiles
from isthmus.devices.shaper_thread import run_in_thread
from isthmus.errors import TailUnavailable
from isthmus.head.agent import Agent
from isthmus.head.frame import Frame, Source
from isthmus.head.ledger import Ledger
from isthmus.head.link import Link
from isthmus.head.placement import Split
from isthmus.head.rig import Rig
from isthmus.head.sink import Callback

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]
WAIT_S = 60
IN_FLIGHT = 3


class Device:
    """Sends captures as fast as it may until its link is drained; keeps what came of each."""

    def __init__(self, bundle, address, name):
        codec = Codec(bundle.manifest.boundary, bundle.manifest.points)
        self._payload = codec.encode((np.random.default_rng(0).integers(-8, 8, size=(4, 4, 4), dtype=np.int8),))
        self._link = Link(bundle, [address], device_id=name)
        self._thread = threading.Thread(target=self._send)
        self._over = threading.Event()
        self.sent = []
        self.answered = threading.Semaphore(0)

    def __enter__(self):
        self._link.start().wait_connected(WAIT_S)
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self._thread.join()
        self._link.close()

    def _send(self):
        while not self._over.is_set() and not self._link.reconnects:
            if self._link.wait_credit(0.1):
                try:
                    future = self._link.send(wire.Capture(sequence=len(self.sent) + 1, codes=self._payload))
                except TailUnavailable:
                    return
                future.add_done_callback(lambda _: self.answered.release())
                self.sent.append(future)

    def outcomes(self):
        return {"lost" if future.exception(WAIT_S) else future.result().status for future in self.sent}


@pytest.mark.parametrize("round_trip", [None, "unlimited/600ms"])
def test_sigterm_under_load_loses_nothing_that_was_sent(tiny_bundle, round_trip):
    with programs.server(tiny_bundle.folder) as server:
        address = server.match["grpc"]
        shaper = run_in_thread(address, profiles.parse(round_trip)) if round_trip else None
        if shaper:
            shaper.start()
            address = shaper.address
        with Device(tiny_bundle, address, "a") as one, Device(tiny_bundle, address, "b") as other:
            for _ in range(4):
                assert one.answered.acquire(timeout=WAIT_S)
                assert other.answered.acquire(timeout=WAIT_S)
            server._process.send_signal(signal.SIGTERM)
            assert server._process.wait(WAIT_S) == 143
            assert one.outcomes() | other.outcomes() == {"ok"}
        if shaper:
            shaper.stop()


class Endless(Source):
    """Pictures until somebody has had enough."""

    def __init__(self):
        self.enough = threading.Event()
        self._next = 0

    def read(self):
        if self.enough.is_set():
            return None
        self._next += 1
        image = np.random.default_rng(self._next).integers(0, 256, size=(32, 32, 3), dtype=np.uint8)
        return Frame(sequence=self._next, image=image, captured_s=time.monotonic())


def test_a_killed_server_loses_only_what_was_in_flight_and_devices_go_on_with_the_next(tiny_bundle):
    records, answered, source = [], threading.Semaphore(0), Endless()

    def keep(record):
        records.append(record)
        if record.placement == "split":
            answered.release()

    def wait_for(answers):
        for _ in range(answers):
            assert answered.acquire(timeout=WAIT_S)

    with programs.server(tiny_bundle.folder) as first:
        address = first.match["grpc"]
        with Link(tiny_bundle, [address], device_id="camera") as link:
            ledger = Ledger(tiny_bundle.manifest, device_id="camera", deadline_s=None, sinks=[Callback(keep)])
            rig = Rig(placement=Split(tiny_bundle), ledger=ledger, link=link)
            agent = Agent(source=source, rig=rig, drop_policy="wait")
            running = threading.Thread(target=agent.run)
            running.start()
            wait_for(20)
            # A stopped process answers nothing, so that the window fills up.
            first._process.send_signal(signal.SIGSTOP)
            while link.wait_credit(0.2):
                pass
            before = len(records)
            first._process.kill()
            first._process.wait(WAIT_S)
            with programs.server(tiny_bundle.folder, extra=["--grpc-port", address.rpartition(":")[2]]):
                while answered.acquire(blocking=False):
                    pass
                wait_for(20)
                source.enough.set()
                running.join(WAIT_S)
            assert link.reconnects >= 1
    assert sorted(record.sequence for record in records) == list(range(1, len(records) + 1))
    lost = [record for record in records if record.placement != "split"]
    assert {(record.placement, record.reason) for record in lost} == {("drop", "link")}
    assert 1 <= len(lost) <= IN_FLIGHT
    assert {record.placement for record in records[:before]} == {"split"}
