"""How a client that sends too much is slowed down on a real stream, and what it never loses by it."""

import asyncio

import grpc
import pytest

from isthmus.contract.generated import split_pb2 as wire
from isthmus.contract.generated import split_pb2_grpc
from isthmus.contract.overload import retry_after_ms
from isthmus.tail.admission.limits import ClientLimits


async def send_all(device, opened, count, payload):
    """Send `count` captures, each with a credit in hand; the answers."""
    sent, answers, allowed = 0, [], opened.allowed
    while len(answers) < count:
        while sent < min(allowed, count):
            sent += 1
            await device.capture(sent, codes=payload)
        message = await device.receive()
        if message.HasField("credit"):
            allowed = max(allowed, message.credit.allowed)
        else:
            answers.append(message.answer)
            allowed = max(allowed, message.answer.allowed)
    return answers


async def test_a_device_that_is_too_fast_gets_its_credits_later_and_loses_nothing(serve, connect, payload):
    device = connect(await serve(client=ClientLimits(rate_per_s=100, burst=2)))
    opened = await device.open()
    assert opened.allowed == 2
    loop = asyncio.get_running_loop()
    begun = loop.time()
    answers = await send_all(device, opened, 12, payload)
    assert {answer.status for answer in answers} == {wire.STATUS_OK}
    # Two at once, ten at 100 a second: however slow this machine is, it is not faster than that.
    assert loop.time() - begun > 0.099


async def test_devices_of_one_client_share_its_rate(serve, connect, payload):
    server = await serve(client=ClientLimits(rate_per_s=0.001, burst=4))
    assert (await connect(server).open()).allowed == 3
    assert (await connect(server).open()).allowed == 1
    assert (await connect(server).open()).allowed == 0


async def test_too_many_bytes_are_taken_and_the_next_credit_waits(serve, connect, payload):
    device = connect(await serve(client=ClientLimits(bytes_per_s=2 * len(payload))))
    await device.open()
    answers = [await device.ask(sequence, codes=payload) for sequence in (1, 2, 3)]
    assert {answer.status for answer in answers} == {wire.STATUS_OK}
    assert answers[-1].allowed < 6
    assert (await device.receive()).credit.allowed > answers[-1].allowed


async def test_a_credit_of_a_stream_that_ended_is_left_to_the_next(serve, connect, payload):
    server = await serve(client=ClientLimits(rate_per_s=20, burst=1))
    for _ in range(20):
        device = connect(server)
        await device.open()
        await device.close()
    device = connect(server)
    opened = await device.open()
    answers = await send_all(device, opened, 1, payload)
    assert answers[0].status == wire.STATUS_OK


async def test_a_client_has_as_many_streams_as_it_may(serve, connect):
    server = await serve(client=ClientLimits(streams=1))
    first = connect(server)
    await first.open()
    second = connect(server)
    assert await second.end() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert retry_after_ms(await second.call.trailing_metadata()) == 1000
    await first.close()
    await connect(server).open()


async def test_a_client_with_enough_in_flight_is_told_so_and_its_frame_serves_as_reference(gate, serve, connect, payload):
    device = connect(await serve(client=ClientLimits(in_flight=1)))
    await device.open()
    await device.capture(1, codes=payload)
    await asyncio.to_thread(gate.entered.wait, 30)
    await device.capture(2, codes=payload)
    refused = await device.answer()
    assert (refused.sequence, refused.status, refused.decoded, refused.allowed) == (2, wire.STATUS_OVERLOADED, True, 3)
    assert refused.retry_after_ms > 0
    assert (await device.receive()).credit.allowed == 4, "the credit of a refused capture comes when the server said"
    gate.open.set()
    assert (await device.answer()).status == wire.STATUS_OK
    assert (await device.ask(3, codes=payload, reference=2)).status == wire.STATUS_OK


async def test_a_flood_of_streams_loses_its_own_frames_and_not_those_of_others(gate, serve, connect, payload):
    server = await serve(queue_max=3)
    flood, polite = connect(server), connect(server)
    await flood.open()
    await polite.open(device_id="polite")
    await flood.capture(1, codes=payload)
    await asyncio.to_thread(gate.entered.wait, 30)
    for sequence in (2, 3):
        await flood.capture(sequence, codes=payload)
    await polite.capture(1, codes=payload)
    await until(lambda: sum(served.batcher.queued for served in server._catalog) == 3)
    refused = await polite.ask(2, codes=payload)
    assert refused.status == wire.STATUS_OVERLOADED, "its two frames would be as many as the flood's, so the second is refused"
    gate.open.set()
    assert (await polite.answer()).status == wire.STATUS_OK
    assert [(await flood.answer()).status for _ in range(3)] == [wire.STATUS_OK] * 3


async def until(condition):
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.001)


async def test_calls_are_limited_with_a_hint(serve, channel_to):
    server = await serve(client=ClientLimits(rate_per_s=0.5, burst=2))
    stub = split_pb2_grpc.TailStub(channel_to(server))
    for _ in range(2):
        await stub.Describe(wire.DescribeRequest())
    with pytest.raises(grpc.aio.AioRpcError, match="sends more than it may") as caught:
        await stub.Describe(wire.DescribeRequest())
    assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert 1000 < retry_after_ms(caught.value.trailing_metadata()) <= 2000


async def test_frames_given_up_for_memory_cost_a_key_frame_and_nothing_else(serve, connect, payload):
    server = await serve(references_bytes_max=64)
    one, two = connect(server), connect(server)
    await one.open()
    await two.open(device_id="two")
    await one.ask(1, codes=payload)
    await two.ask(1, codes=payload)
    assert (await one.ask(2, codes=payload, reference=1)).status == wire.STATUS_KEY_FRAME_NEEDED
    assert (await one.ask(3, codes=payload)).status == wire.STATUS_OK
