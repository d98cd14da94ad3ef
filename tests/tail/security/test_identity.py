import asyncio

from isthmus.contract.generated import split_pb2 as wire
from isthmus.contract.generated import split_pb2_grpc
from isthmus.tail.security.identity import NOBODY, Identity, current
from isthmus.tail.security.scopes import ALL
from isthmus.tail.service import TailService

HERE = Identity(name="127.0.0.1", kind="anonymous", scopes=ALL)


def test_outside_of_a_call_nobody_calls():
    assert current() is NOBODY
    assert NOBODY.scopes == frozenset()


async def test_a_handler_and_the_tasks_that_it_starts_know_the_caller(serve, channel_to, monkeypatch):
    seen = []

    async def look():
        seen.append(current())

    async def describe(_self, _request, _context):
        await asyncio.create_task(look())
        await look()
        return wire.DescribeReply()

    monkeypatch.setattr(TailService, "Describe", describe)
    await split_pb2_grpc.TailStub(channel_to(await serve())).Describe(wire.DescribeRequest())
    assert seen == [HERE, HERE]
    assert current() is NOBODY


async def test_a_device_stream_knows_its_caller(serve, connect, monkeypatch):
    seen = []
    check = TailService._check_room
    monkeypatch.setattr(TailService, "_check_room", lambda service: (seen.append(current()), check(service)))
    await connect(await serve()).open()
    assert seen == [HERE]
