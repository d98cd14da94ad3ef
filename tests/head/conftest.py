"""Real servers on loopback for the device agent: the edge server in a thread, and peers that break the rules."""

import asyncio
import contextlib
import dataclasses
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import grpc
import numpy as np
import pytest

from isthmus.contract.bundle import Bundle
from isthmus.contract.generated import split_pb2 as wire
from isthmus.contract.generated import split_pb2_grpc
from isthmus.contract.manifest import Task
from isthmus.devices import link as profiles
from isthmus.devices.shaper_thread import run_in_thread
from isthmus.head.agent import Agent
from isthmus.head.delivery import Delivery
from isthmus.head.frame import Frame, Source
from isthmus.head.ledger import Ledger
from isthmus.head.link import Link
from isthmus.head.placement import Local, Split
from isthmus.head.rig import Rig
from isthmus.head.search import LinkSettings
from isthmus.head.sink import Callback
from isthmus.head.standby import Standby
from isthmus.tail.server import Server
from isthmus.tail.settings import ServerSettings

QUICK = LinkSettings(connect_timeout_s=2.0)


class Tail:
    """The edge server in a thread with an event loop of its own."""

    def __init__(self, bundle: Bundle, **settings: Any) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="tail")
        self._thread.start()
        self._server = Server(ServerSettings(**{"grpc_port": 0, "metrics_port": None, "instances": 1, **settings}), bundle)
        self._wait(self._server.start())
        self.port = self._server.grpc_port
        self.address = f"127.0.0.1:{self.port}"
        self._running = True

    def _wait(self, coroutine: Any) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    def stop(self, grace_s: float = 0.0) -> None:
        if self._running:
            self._running = False
            self._wait(self._server.stop(grace_s))
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()


@pytest.fixture
def serve(tiny_bundle: Bundle) -> Iterator[Callable[..., Tail]]:
    """A function that starts a server; arguments are a bundle and the server's settings."""
    with contextlib.ExitStack() as stack:

        def start(bundle: Bundle = tiny_bundle, **settings: Any) -> Tail:
            tail = Tail(bundle, **settings)
            stack.callback(tail.stop)
            return tail

        yield start


@pytest.fixture
def connect(tiny_bundle: Bundle) -> Iterator[Callable[..., Link]]:
    """A function that makes a link to addresses and waits for it."""
    with contextlib.ExitStack() as stack:

        def make(*addresses: str, bundle: Bundle = tiny_bundle, settings: LinkSettings = QUICK, **options: Any) -> Link:
            link = stack.enter_context(Link(bundle, addresses, device_id="camera", settings=settings, **options))
            link.wait_connected(20)
            return link

        yield make


Script = Callable[[Iterator[wire.ToTail]], Iterable[wire.FromTail]]


class _Scripted(split_pb2_grpc.TailServicer):
    def __init__(self, script: Script) -> None:
        self._script = script

    def Stream(self, requests: Iterator[wire.ToTail], _context: object) -> Iterator[wire.FromTail]:  # noqa: N802
        yield from self._script(requests)


@pytest.fixture
def peer() -> Iterator[Callable[[Script | None], str]]:
    """A function that starts a gRPC server whose streams follow a script, and gives its address; None: it knows no such call."""
    with contextlib.ExitStack() as stack:

        def start(script: Script | split_pb2_grpc.TailServicer | None) -> str:
            pool = stack.enter_context(ThreadPoolExecutor(4))
            server = grpc.server(pool, options=[("grpc.so_reuseport", 0)])
            if script:
                servicer = script if isinstance(script, split_pb2_grpc.TailServicer) else _Scripted(script)
                split_pb2_grpc.add_TailServicer_to_server(servicer, server)
            port = server.add_insecure_port("127.0.0.1:0")
            server.start()
            stack.callback(lambda: server.stop(None).wait())
            return f"127.0.0.1:{port}"

        yield start


@pytest.fixture
def no_threads_left() -> Iterator[None]:
    """Every thread of a test ends with it."""
    before = set(threading.enumerate())
    yield
    # gRPC keeps one poller for all asyncio servers of a process.
    left = [thread for thread in threading.enumerate() if thread not in before and "_poll_wrapper" not in thread.name]
    for thread in left:
        thread.join(5)
    assert [thread.name for thread in left if thread.is_alive()] == []


@pytest.fixture
def shaped() -> Iterator[Callable[..., Any]]:
    """A function that puts a shaper before an address."""
    running = []

    def start(address: str, profile: str = "unlimited") -> Any:
        running.append(run_in_thread(address, profiles.parse(profile)))
        running[-1].start()
        return running[-1]

    yield start
    for shaper in running:
        shaper.stop()


@pytest.fixture
def outage(shaped: Callable[..., Any]) -> Iterator[Callable[..., Callable[[int], None]]]:
    """A function that takes a link away at the tenth frame, and gives it back 0.3 s later, with its connections or without."""
    timers = []

    def at_ten(shaper: Any, *, breaks: bool) -> Callable[[int], None]:
        def come_back() -> None:
            if breaks:
                shaper.reset()
            shaper.set_up(True)

        def before(sequence: int) -> None:
            if sequence == 10:
                shaper.set_up(False)
                timers.append(threading.Timer(0.3, come_back))
                timers[-1].start()

        return before

    yield at_ten
    # The shaper stays until then.
    for timer in timers:
        timer.join()


class Pictures(Source):
    """Random pictures from memory; `before` is called with the sequence number before each one."""

    def __init__(self, count: int, *, first: int = 0, before: Callable[[int], None] = lambda _sequence: None) -> None:
        self.length = count
        self._next = first
        self._end = first + count
        self._before = before

    def read(self) -> Frame | None:
        if self._next == self._end:
            return None
        sequence, self._next = self._next, self._next + 1
        self._before(sequence)
        image = np.random.default_rng(sequence).integers(0, 256, size=(32, 32, 3), dtype=np.uint8)
        return Frame(sequence=sequence, image=image, captured_s=time.monotonic(), name=f"{sequence}.png")


@pytest.fixture
def pictures() -> type[Pictures]:
    """The source of random pictures."""
    return Pictures


@pytest.fixture
def picture() -> np.ndarray:
    """uint8[32, 32, 3]."""
    return np.random.default_rng(7).integers(0, 256, size=(32, 32, 3), dtype=np.uint8)


class AgentRun:
    """An agent with its ledger, and what came of it."""

    WAIT_S = 20

    def __init__(
        self,
        bundle,
        source,
        *,
        placement=None,
        deadline_s=None,
        on_record=None,
        labels=None,
        link=None,
        alone=False,
        deliver=None,
        **options,
    ):
        self.records = []
        task = Task() if labels is None else Task(kind="classification", labels=labels)
        self.ledger = Ledger(
            bundle.manifest.model_copy(update={"task": task}),
            device_id="camera",
            deadline_s=deadline_s,
            sinks=[Callback(self.records.append), Callback(on_record or (lambda _record: None))],
            session=(lambda: link.session) if link else bytes,
        )
        placement = placement or (Split(bundle) if link else Local(bundle))
        options = {"drop_policy": "wait", "finish_s": self.WAIT_S, **options}
        self.standby = None
        if alone:
            self.standby = Standby(Local(bundle), self.ledger, waits=options["drop_policy"] == "wait")
        self.delivery = None if deliver is None else Delivery(deliver, self.ledger)
        rig = Rig(placement=placement, ledger=self.ledger, link=link, standby=self.standby)
        self.agent = Agent(source=source, rig=rig, delivery=self.delivery, **options)

    def go(self):
        with self.delivery or contextlib.nullcontext(), self.standby or contextlib.nullcontext():
            return self.agent.run()

    def waits_on_disk(self):
        with self.delivery as delivery:
            return delivery.waiting

    @property
    def fates(self):
        return [record.reason or "answered" for record in sorted(self.records, key=lambda record: record.sequence)]

    def assert_every_frame_once(self, count, *, first=0):
        summary = self.ledger.summary
        assert sorted(record.sequence for record in self.records) == list(range(first, first + count))
        assert summary.frames == count == summary.answered + sum(summary.dropped.values())


@pytest.fixture
def agent_run() -> type[AgentRun]:
    """A run of the agent that remembers its records."""
    return AgentRun


@pytest.fixture
def with_record() -> Callable[..., Bundle]:
    """A function that changes fields of a bundle's filter record."""

    def change(bundle: Bundle, **fields: Any) -> Bundle:
        assert bundle.manifest.filter is not None
        record = bundle.manifest.filter.model_copy(update=fields)
        return dataclasses.replace(bundle, manifest=bundle.manifest.model_copy(update={"filter": record}))

    return change


@pytest.fixture
def pictures_on_disk(tmp_path: Path) -> Path:
    """A folder of eight pictures of noise."""
    for index in range(8):
        image = np.random.default_rng(index).integers(0, 256, (32, 32, 3), dtype=np.uint8)
        cv2.imwrite(str(tmp_path / f"{index}.png"), image)
    return tmp_path
