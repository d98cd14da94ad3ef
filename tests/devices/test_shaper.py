import asyncio
import signal
import subprocess
import sys
import time

import pytest

from isthmus.devices.link import parse
from isthmus.devices.shaper import Counters, Shaper, main, parse_address
from isthmus.errors import DeviceError, UsageError


async def say(address: str, data: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(*parse_address(address))
    writer.write(data)
    answer = await reader.readexactly(len(data))
    writer.close()
    await writer.wait_closed()
    return answer


async def test_it_runs_in_the_loop_of_the_caller(echo):
    async with Shaper(echo, parse("50mbit/4ms")) as shaper:
        assert await say(shaper.address, bytes(50_000)) == bytes(50_000)
        assert shaper.counters() == Counters(up_bytes=50_000, down_bytes=50_000)


def test_it_keeps_time_on_a_loop_that_counts_milliseconds(echo):
    uvloop = pytest.importorskip("uvloop")

    async def run() -> float:
        async with Shaper(echo, parse("2mbit/25ms")) as shaper:
            start_s = time.monotonic()
            await say(shaper.address, bytes(5_000))
            return time.monotonic() - start_s

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        # The handshake, the exchange, and the bits of one way.
        assert runner.run(run()) >= 2 * 0.025 + 5_000 * 8 / 2e6


async def test_it_can_be_started_again(echo):
    shaper = Shaper(echo, parse("unlimited"))
    for _ in range(2):
        async with shaper:
            assert await say(shaper.address, b"x") == b"x"
    with pytest.raises(DeviceError, match="not running"):
        _ = shaper.address


@pytest.mark.parametrize(
    ("text", "address"),
    [("127.0.0.1:80", ("127.0.0.1", 80)), ("[::1]:0", ("::1", 0)), ("edge.local:65535", ("edge.local", 65535))],
)
def test_addresses_are_host_and_port(text, address):
    assert parse_address(text) == address


@pytest.mark.parametrize("text", ["", "host", ":80", "host:", "host:x", "host:65536", "host:-1", "[]:80", "host:\u0665"])
def test_other_addresses_are_refused(text):
    with pytest.raises(UsageError, match="host:port"):
        parse_address(text)


@pytest.mark.parametrize(
    ("number", "code"), [pytest.param(signal.SIGINT, 130, id="interrupted"), pytest.param(signal.SIGTERM, 143, id="terminated")]
)
def test_the_command_shapes_until_it_is_told_to_end(echo, number, code):
    command = [sys.executable, "-m", "isthmus.devices.shaper", echo, "--link", "20mbit/2ms"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        address = process.stdout.readline().split()[1]
        assert asyncio.run(say(address, b"through the command")) == b"through the command"
        process.send_signal(number)
        assert process.wait(timeout=30) == code


@pytest.mark.parametrize("arguments", [["nowhere", "--link", "1mbit"], ["127.0.0.1:1", "--link", "fast"]])
def test_the_command_refuses_in_one_line(arguments, capsys):
    assert main(arguments) == 2
    assert capsys.readouterr().err.startswith("error: ")
