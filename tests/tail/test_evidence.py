import asyncio
from unittest.mock import ANY

import grpc
import numpy as np
import pytest
import structlog

from isthmus.contract.generated import split_pb2 as wire
from isthmus.contract.limits import Limits
from isthmus.contract.picture import encode_picture

JPEG = encode_picture(np.zeros((8, 8, 3), np.uint8), "jpeg", 80)


def ask(device, sequence=7, *, device_id="camera", timeout=10, **fields):
    request = wire.FetchFrameRequest(device_id=device_id, sequence=sequence, purpose="a complaint", **fields)
    return device.stub.FetchFrame(request, timeout=timeout)


async def be_asked(device):
    question = (await device.receive()).fetch_evidence
    assert question.request
    return question


async def test_a_picture_travels_from_the_device_to_the_operator(device):
    call = ask(device)
    question = await be_asked(device)
    await device.send(evidence=wire.Evidence(request=question.request, picture=wire.Picture(format="jpeg", data=JPEG)))
    reply = await call
    assert (question.sequence, reply.sequence, reply.picture.data) == (7, 7, JPEG)


async def test_the_audit_log_says_who_asked_for_what_and_why(device):
    with structlog.testing.capture_logs() as lines:
        call = ask(device)
        question = await be_asked(device)
        await device.send(evidence=wire.Evidence(request=question.request, picture=wire.Picture(format="jpeg", data=JPEG)))
        await call
        with pytest.raises(grpc.aio.AioRpcError):
            await ask(device, device_id="other")
    told = [line for line in lines if line["event"].startswith("evidence")]
    common = {"by": "anonymous '127.0.0.1'", "sequence": 7, "purpose": "'a complaint'"}
    assert told == [
        {"event": "evidence fetched", "log_level": "info", "device": "'camera'", "size_bytes": len(JPEG), **common},
        {"event": "evidence refused", "log_level": "warning", "device": "'other'", "reason": ANY, **common},
    ]


@pytest.mark.parametrize(
    ("evidence", "status", "message"),
    [
        ({"message": "gone"}, "NOT_FOUND", "device 'camera' holds no picture of frame 7: gone"),
        ({"picture": wire.Picture(format="jpeg", data=b"no picture")}, "INVALID_ARGUMENT", "do not begin like one"),
        ({"picture": wire.Picture(format="jpeg", data=JPEG + bytes(2000))}, "RESOURCE_EXHAUSTED", "at most 2000 are taken"),
    ],
)
async def test_what_is_no_picture_does_not_reach_the_operator(serve, connect, evidence, status, message):
    device = connect(await serve(limits=Limits(picture_bytes=2000)))
    await device.open()
    call = ask(device)
    question = await be_asked(device)
    await device.send(evidence=wire.Evidence(request=question.request, **evidence))
    with pytest.raises(grpc.aio.AioRpcError, match=message) as raised:
        await call
    assert raised.value.code().name == status


async def test_a_device_that_is_not_connected_is_told(device):
    for fields in ({"device_id": "other"}, {"session": bytes(16)}):
        with pytest.raises(grpc.aio.AioRpcError, match="has no such stream on this server") as raised:
            await ask(device, **fields)
        assert raised.value.code() == grpc.StatusCode.NOT_FOUND


async def test_a_device_is_asked_few_questions_at_a_time(device):
    calls = [ask(device, sequence) for sequence in range(5)]
    first = [await be_asked(device) for _ in range(4)]
    refused = [await call.code() for call in calls if call.done() or call is calls[4]]
    assert refused == [grpc.StatusCode.RESOURCE_EXHAUSTED]
    for question in first:
        await device.send(evidence=wire.Evidence(request=question.request, message="gone"))
    assert [await call.code() for call in calls[:4]] == [grpc.StatusCode.NOT_FOUND] * 4


async def test_a_device_that_does_not_answer_does_not_hold_the_operator(device):
    call = ask(device, timeout=0.3)
    await be_asked(device)
    assert await call.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)


async def test_evidence_that_comes_too_late_is_dropped_and_the_stream_goes_on(device, payload):
    call = ask(device)
    question = await be_asked(device)
    call.cancel()
    await device.send(evidence=wire.Evidence(request=question.request, message="late"))
    assert (await device.ask(1, codes=payload)).status == wire.STATUS_OK


async def test_evidence_that_nobody_asked_for_ends_the_stream(device):
    await device.send(evidence=wire.Evidence(request=1, message="look"))
    assert await device.end() == grpc.StatusCode.INVALID_ARGUMENT
    assert "evidence 1 was sent, 0 questions were asked" in await device.details()


async def test_a_stream_that_ends_answers_the_operator(device):
    call = ask(device)
    await be_asked(device)
    device.call.cancel()
    assert await asyncio.wait_for(call.code(), 10) == grpc.StatusCode.UNAVAILABLE
