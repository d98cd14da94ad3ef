import asyncio
import threading

import grpc
import pytest

from isthmus.contract.generated import open_inference_pb2 as wire
from isthmus.tail.model import TailModel

METHOD = "/inference.GRPCInferenceService/ModelStreamInfer"


@pytest.fixture
def frame(ask, golden_frames):
    """A function that makes a request of one frame, with an id."""
    return lambda number: ask("tiny", codes=golden_frames[0][number % 3][None], request_id=str(number))


async def read_all(call):
    return [response async for response in call]


async def test_requests_are_answered_in_their_order(client, frame, outputs, golden_frames):
    responses = await read_all(client.stub.ModelStreamInfer(frame(number) for number in range(20)))
    assert [response.infer_response.id for response in responses] == [str(number) for number in range(20)]
    assert all(response.infer_response.parameters["triton_final_response"].bool_param for response in responses)
    scores = outputs(responses[4].infer_response)["scores"]
    assert scores == pytest.approx(golden_frames[2][1:2], rel=1e-5)


async def test_a_wrong_request_is_one_error_message_and_the_stream_goes_on(client, ask, frame):
    requests = [frame(1), ask("other", request_id="2"), frame(3)]
    responses = await read_all(client.stub.ModelStreamInfer(iter(requests)))
    assert [response.infer_response.id for response in responses] == ["1", "2", "3"]
    assert responses[1].error_message.startswith("NOT_FOUND: bundle 'other' is not served here")
    assert not responses[1].infer_response.outputs


async def test_a_client_may_want_the_status_instead(client, ask, frame):
    call = client.stub.ModelStreamInfer(iter([frame(1), ask("other")]), metadata=(("triton_grpc_error", "true"),))
    with pytest.raises(grpc.aio.AioRpcError, match="bundle 'other' is not served here") as caught:
        await read_all(call)
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


async def test_no_more_requests_are_taken_than_may_be_in_flight(serve, client_of, frame, monkeypatch):
    gate, taken = threading.Event(), []
    compute = TailModel.compute
    monkeypatch.setattr(TailModel, "compute", lambda *arguments: (gate.wait(10), compute(*arguments))[1])
    server = await serve()
    answer = server._inference._answering.answer

    async def watched(request, *arguments, **options):
        taken.append(request.id)
        return await answer(request, *arguments, **options)

    monkeypatch.setattr(server._inference._answering, "answer", watched)
    call = asyncio.create_task(read_all(client_of(server).stub.ModelStreamInfer(frame(number) for number in range(9))))
    async with asyncio.timeout(10):
        while len(taken) < 3:
            await asyncio.sleep(0.001)
        # Whatever else has arrived is on the server's side of the socket by the time that another call was answered.
        await client_of(server).stub.ServerLive(wire.ServerLiveRequest())
    assert taken == ["0", "1", "2"]
    gate.set()
    assert len(await call) == 9


async def test_a_stream_that_is_cancelled_leaves_nothing_behind(serve, client_of, frame, monkeypatch, queued):
    gate, entered, computed = threading.Event(), threading.Event(), []
    compute = TailModel.compute

    def held(model, worker, works):
        entered.set()
        gate.wait(10)
        computed.append(len(works))
        return compute(model, worker, works)

    monkeypatch.setattr(TailModel, "compute", held)
    server = await serve(batch_max=1)
    client = client_of(server)
    call = client.stub.ModelStreamInfer(frame(number) for number in range(3))
    async with asyncio.timeout(10):
        while not entered.is_set() or queued(server) < 2:
            await asyncio.sleep(0.001)
        call.cancel()
        while server._inference._calls:
            await asyncio.sleep(0.001)
    gate.set()
    await client.infer(frame(4))
    assert computed == [1, 1]


async def test_a_server_that_stops_answers_what_it_has_read_and_ends_the_stream(serve, client_of, frame):
    server = await serve()
    call = client_of(server).stub.ModelStreamInfer()
    await call.write(frame(1))
    assert (await call.read()).infer_response.id == "1"
    stopping = asyncio.create_task(server.stop(10))
    with pytest.raises(grpc.aio.AioRpcError, match="this server is draining") as caught:
        await call.read()
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    await stopping


async def test_bytes_that_are_no_request_end_the_stream_after_what_came_before(serve, channel_to, frame, caplog):
    call = channel_to(await serve()).stream_stream(METHOD)(iter([frame(1).SerializeToString(), b"\xff\xff"]))
    responses = []
    with pytest.raises(grpc.aio.AioRpcError, match="bytes came that are no ModelInferRequest") as caught:
        responses.extend([wire.ModelStreamInferResponse.FromString(data) async for data in call])
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "Traceback" not in caplog.text
