import asyncio
import socket

import pytest

from isthmus.devices.lane import Lane
from isthmus.devices.link import parse
from isthmus.devices.shaped_connection import ConnectionEnd
from isthmus.devices.timer import LoopClock

uvloop = pytest.importorskip("uvloop")


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_an_accepted_socket_sends_small_segments_at_once(new_loop):
    async def accept() -> int:
        loop = asyncio.get_running_loop()
        end = ConnectionEnd(Lane(LoopClock(loop), parse("unlimited")), lost=lambda: None)
        with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()):
            accepted, _ = listener.accept()
            accepted.setblocking(False)
            await loop.connect_accepted_socket(lambda: end, accepted)
            no_delay = accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            end.abort()
            await asyncio.sleep(0)
        return no_delay

    with asyncio.Runner(loop_factory=new_loop) as runner:
        assert runner.run(accept()) == 1
