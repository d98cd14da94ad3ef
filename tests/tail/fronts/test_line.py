import asyncio
import contextlib
import socket
import struct

import pytest

from isthmus.errors import FrameNotHeld, RemoteProtocolError, TailUnavailable
from isthmus.tail.fronts.line import Line


async def echo(name, body):
    if name == "missing":
        raise FrameNotHeld("gone since noon")
    if name == "slow":
        await asyncio.sleep(3600)
    return name.encode() + body


@pytest.fixture
async def lines():
    one, other = socket.socketpair()
    async with Line(one, echo) as first, Line(other, echo) as second:
        yield first, second


async def test_either_end_asks_and_answers_come_to_their_questions(lines):
    asked = [(line, str(number)) for number in range(20) for line in lines]
    answers = await asyncio.gather(*(line.ask(name, b"!" * 10_000) for line, name in asked))
    assert answers == [name.encode() + b"!" * 10_000 for _, name in asked]


async def test_a_refusal_is_the_same_error_on_the_other_side(lines):
    with pytest.raises(FrameNotHeld, match="gone since noon"):
        await lines[0].ask("missing")


async def test_an_end_that_does_not_answer_is_not_waited_for_for_ever(lines):
    with pytest.raises(TailUnavailable, match=r"did not answer 'slow' within 0\.05 s"):
        await lines[0].ask("slow", timeout_s=0.05)
    assert await lines[0].ask("next") == b"next"


async def test_who_asks_an_end_that_goes_is_told_then_and_later():
    one, other = socket.socketpair()
    async with Line(one, echo) as line:
        asked = asyncio.create_task(line.ask("slow"))
        await asyncio.sleep(0)
        other.close()
        with pytest.raises(TailUnavailable, match="ended before it answered"):
            await asked
        with pytest.raises(TailUnavailable, match="has ended"):
            await line.ask("anything")


async def test_a_size_that_cannot_be_ends_the_line():
    one, other = socket.socketpair()
    with contextlib.closing(other):
        async with Line(one, echo) as line:
            other.send(struct.pack("<IBIB", 2**32 - 1, 1, 1, 3))
            await asyncio.wait_for(line.gone.wait(), 5)


async def test_a_question_that_is_not_known_is_refused():
    async def knows_nothing(name, _body):
        raise RemoteProtocolError(f"what is {name!r}?")

    one, other = socket.socketpair()
    async with Line(one, echo) as line, Line(other, knows_nothing):
        with pytest.raises(RemoteProtocolError, match="what is 'weather'"):
            await line.ask("weather")
