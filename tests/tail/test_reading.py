import logging

import grpc
import pytest

METHODS = ["/inference.GRPCInferenceService/ModelInfer", "/isthmus.v1.Tail/Describe", "/grpc.health.v1.Health/Check"]


@pytest.mark.parametrize("method", METHODS)
async def test_bytes_that_are_no_message_are_refused_without_a_traceback(serve, channel_to, caplog, method):
    with caplog.at_level(logging.DEBUG), pytest.raises(grpc.aio.AioRpcError) as caught:
        await channel_to(await serve()).unary_unary(method)(b"\xff\xff\xff")
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert caught.value.details() == "the request's bytes are no message of this method"
    assert "Traceback" not in caplog.text


async def test_bytes_that_are_no_message_of_a_call_with_many_answers_are_refused_too(serve, channel_to, caplog):
    call = channel_to(await serve()).unary_stream("/isthmus.v1.Tail/FetchBundle")(b"\xff\xff\xff")
    assert (await call.code(), await call.details()) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        "the request's bytes are no message of this method",
    )
    assert "Traceback" not in caplog.text


async def test_a_method_that_does_not_exist_is_unimplemented(serve, channel_to):
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await channel_to(await serve()).unary_unary("/isthmus.v1.Tail/Explode")(b"")
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
