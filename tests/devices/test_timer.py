import asyncio
import socket
import time

from isthmus.devices import timer


def run(coroutine):
    with asyncio.Runner(loop_factory=timer.new_event_loop) as runner:
        return runner.run(coroutine)


def test_a_timer_is_never_early():
    async def spend() -> float:
        start_s = time.monotonic()
        await asyncio.sleep(0.0123)
        return time.monotonic() - start_s

    assert run(spend()) >= 0.0123


def test_sockets_wake_a_loop_that_waits_for_a_timer():
    async def hear() -> bytes:
        near, far = socket.socketpair()
        with near, far:
            near.setblocking(False)
            loop = asyncio.get_running_loop()
            loop.call_later(0.001, far.send, b"now")
            return await asyncio.wait_for(loop.sock_recv(near, 10), 60)

    assert run(hear()) == b"now"


def test_a_timer_in_the_past_is_due_at_once():
    async def call() -> bool:
        called = asyncio.Event()
        timer.LoopClock(asyncio.get_running_loop()).call_at(time.monotonic() - 5, called.set)
        return await asyncio.wait_for(called.wait(), 60)

    assert run(call())
