import asyncio
import threading

import grpc
import numpy as np
import pytest

from isthmus import __version__
from isthmus.contract.generated import open_inference_pb2 as wire
from isthmus.contract.limits import Limits
from isthmus.errors import DeviceError
from isthmus.tail.admission.limits import ClientLimits
from isthmus.tail.model import TailModel


async def test_a_server_says_who_it_is_and_that_it_is_ready(client):
    assert (await client.stub.ServerLive(wire.ServerLiveRequest())).live
    assert (await client.stub.ServerReady(wire.ServerReadyRequest())).ready
    told = await client.stub.ServerMetadata(wire.ServerMetadataRequest())
    assert (told.name, told.version) == ("isthmus", __version__)
    assert list(told.extensions) == ["model_configuration", "model_repository"]


@pytest.mark.parametrize(
    ("name", "version", "ready"),
    [("tiny", "", True), ("tiny_whole", "1", True), ("tiny", "2", False), ("other", "", False), ("", "", False)],
)
async def test_a_model_is_ready_if_it_is_served(client, name, version, ready):
    assert (await client.stub.ModelReady(wire.ModelReadyRequest(name=name, version=version))).ready is ready


async def test_the_metadata_of_the_tail_are_the_codes_and_the_scores(client):
    told = await client.stub.ModelMetadata(wire.ModelMetadataRequest(name="tiny"))
    assert (told.name, list(told.versions), told.platform) == ("tiny", ["1"], "onnxruntime_onnx")
    assert [(port.name, port.datatype, list(port.shape)) for port in told.inputs] == [("codes", "INT8", [-1, 4, 4, 4])]
    assert [(port.name, port.datatype, list(port.shape)) for port in told.outputs] == [("scores", "FP32", [-1, 5])]


async def test_the_metadata_of_the_whole_network_are_the_picture_and_the_scores(client):
    told = await client.stub.ModelMetadata(wire.ModelMetadataRequest(name="tiny_whole"))
    assert [(port.name, port.datatype, list(port.shape)) for port in told.inputs] == [("image", "FP32", [-1, 3, 32, 32])]
    assert [(port.name, port.datatype, list(port.shape)) for port in told.outputs] == [("scores", "FP32", [-1, 5])]


async def test_the_configuration_is_tritons_and_has_what_a_client_must_know_of_the_codes(client, tiny_bundle):
    config = (await client.stub.ModelConfig(wire.ModelConfigRequest(name="tiny"))).config
    assert (config.name, config.backend, config.max_batch_size) == ("tiny", "onnxruntime", 64)
    assert [(port.name, port.data_type, list(port.dims)) for port in config.input] == [("codes", wire.TYPE_INT8, [4, 4, 4])]
    assert [(port.name, port.data_type, list(port.dims)) for port in config.output] == [("scores", wire.TYPE_FP32, [5])]
    assert config.parameters["isthmus.contract_digest"].string_value == tiny_bundle.digest
    assert config.parameters["isthmus.points"].string_value == '{"all":[4],"half":[2]}'


async def test_a_tail_that_takes_one_frame_at_a_time_says_so(serve, client_of, make_tiny_bundle):
    client = client_of(await serve(bundle=make_tiny_bundle(batch="1")))
    config = (await client.stub.ModelConfig(wire.ModelConfigRequest(name="tiny"))).config
    assert (config.max_batch_size, list(config.input[0].dims)) == (0, [1, 4, 4, 4])
    told = await client.stub.ModelMetadata(wire.ModelMetadataRequest(name="tiny"))
    assert list(told.inputs[0].shape) == [1, 4, 4, 4]


async def test_a_frame_of_codes_gives_the_golden_scores(client, ask, outputs, golden_frames):
    codes, _pictures, scores = golden_frames
    response = await client.infer(ask("tiny", codes=codes[:1], request_id="seven"))
    assert (response.model_name, response.model_version, response.id) == ("tiny", "1", "seven")
    np.testing.assert_allclose(outputs(response)["scores"], scores[:1], rtol=1e-5)


async def test_several_frames_at_once_give_the_same(client, ask, outputs, golden_frames):
    codes, _pictures, scores = golden_frames
    response = await client.infer(ask("tiny", codes=codes))
    np.testing.assert_allclose(outputs(response)["scores"], scores, rtol=1e-5)


@pytest.mark.parametrize("count", [1, 3])
async def test_pictures_go_through_the_whole_network(client, ask, outputs, golden_frames, whole, count):
    _codes, pictures, _scores = golden_frames
    response = await client.infer(ask("tiny_whole", image=pictures[:count]))
    np.testing.assert_array_equal(outputs(response)["scores"], whole.run({"image": pictures[:count]})["scores"])


async def test_a_request_larger_than_what_the_loop_reads_is_read_in_a_thread(client, ask, outputs, golden_frames, whole):
    pictures = np.concatenate([golden_frames[1]] * 8)
    assert pictures.size > 65_536
    response = await client.infer(ask("tiny_whole", image=pictures))
    np.testing.assert_array_equal(outputs(response)["scores"], whole.run({"image": pictures})["scores"])


async def test_codes_may_be_listed_one_by_one(client, ask, outputs, golden_frames):
    codes, _pictures, scores = golden_frames
    request = ask("tiny", codes=codes[:1])
    del request.raw_input_contents[:]
    request.inputs[0].contents.int_contents.extend(codes[0].ravel().tolist())
    np.testing.assert_allclose(outputs(await client.infer(request))["scores"], scores[:1], rtol=1e-5)


async def test_a_bundle_without_a_whole_network_has_one_model(serve, client_of, make_tiny_bundle):
    client = client_of(await serve(bundle=make_tiny_bundle(without=("whole.onnx",))))
    assert (await client.refused(wire.ModelMetadataRequest(name="tiny_whole"), "ModelMetadata"))[0] == "NOT_FOUND"
    told = await client.stub.RepositoryIndex(wire.RepositoryIndexRequest())
    assert [model.name for model in told.models] == ["tiny"]


async def test_a_server_without_pictures_serves_no_whole_network(serve, client_of):
    client = client_of(await serve(pictures="off"))
    assert await client.refused(wire.ModelConfigRequest(name="tiny_whole"), "ModelConfig") == (
        "NOT_FOUND",
        "model 'tiny_whole' is not served here: bundle tiny 1 offers no whole network",
    )


async def test_a_bundle_that_is_called_as_the_whole_network_of_another_comes_first(serve, client_of, make_tiny_bundle):
    client = client_of(await serve(bundle=make_tiny_bundle("cup_whole")))
    told = await client.stub.ModelMetadata(wire.ModelMetadataRequest(name="cup_whole"))
    assert told.inputs[0].name == "codes"


async def wait_for(condition):
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.001)


class Gate:
    """Holds the workers of every model until it is opened; notes how much each run computed."""

    def __init__(self, monkeypatch):
        self.event, self.entered, self.runs = threading.Event(), threading.Event(), []
        compute = TailModel.compute

        def held(model, worker, works):
            self.entered.set()
            self.event.wait(10)
            self.runs.append(len(works))
            return compute(model, worker, works)

        monkeypatch.setattr(TailModel, "compute", held)

    async def is_entered(self):
        await wait_for(self.entered.is_set)


@pytest.fixture
def gate(monkeypatch):
    made = Gate(monkeypatch)
    yield made
    made.event.set()


async def test_frames_of_requests_and_of_a_device_share_a_run(
    serve, client_of, connect, ask, golden_frames, payload, gate, queued
):
    server = await serve(batch_max=8)
    client, device, request = client_of(server), connect(server), ask("tiny", codes=golden_frames[0][:1])
    await device.open()
    first = asyncio.create_task(client.infer(request))
    await gate.is_entered()
    await device.capture(1, codes=payload)
    others = [asyncio.create_task(client.infer(request)) for _ in range(3)]
    await wait_for(lambda: queued(server) == 4)
    gate.event.set()
    await asyncio.gather(first, device.answer(), *others)
    assert gate.runs == [1, 4]


async def test_pictures_of_requests_are_computed_one_by_one(serve, client_of, ask, golden_frames, gate, queued):
    server = await serve(batch_max=8)
    client, request = client_of(server), ask("tiny_whole", image=golden_frames[1][:1])
    first = asyncio.create_task(client.infer(request))
    await gate.is_entered()
    others = [asyncio.create_task(client.infer(request)) for _ in range(2)]
    await wait_for(lambda: queued(server) == 2)
    gate.event.set()
    await asyncio.gather(first, *others)
    assert gate.runs == [1, 1, 1]


async def test_a_full_queue_refuses_with_a_time_to_come_back(serve, client_of, ask, golden_frames, gate, queued):
    server = await serve(queue_max=1)
    client, request = client_of(server), ask("tiny", codes=golden_frames[0][:1])
    computing = asyncio.create_task(client.infer(request))
    await gate.is_entered()
    waiting = asyncio.create_task(client.infer(request))
    await wait_for(lambda: queued(server) == 1)
    with pytest.raises(grpc.aio.AioRpcError, match="1 frames wait already") as caught:
        await client.infer(request)
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert 5 <= int(dict(caught.value.trailing_metadata())["isthmus-retry-after-ms"]) <= 1000
    gate.event.set()
    await asyncio.gather(computing, waiting)


async def test_more_calls_than_there_is_room_for_are_refused(serve, client_of, ask, golden_frames, gate):
    server = await serve(requests_max=1)
    client, request = client_of(server), ask("tiny", codes=golden_frames[0][:1])
    computing = asyncio.create_task(client.infer(request))
    await gate.is_entered()
    status, details = await client.refused(request)
    assert (status, details.partition(";")[0]) == ("RESOURCE_EXHAUSTED", "1 requests are being answered already")
    gate.event.set()
    await computing


async def test_a_client_that_asks_too_fast_is_told_when_to_come_back(serve, client_of, ask, golden_frames):
    client = client_of(await serve(client=ClientLimits(rate_per_s=0.001)))
    request = ask("tiny", codes=golden_frames[0][:1])
    await client.infer(request)
    with pytest.raises(grpc.aio.AioRpcError, match="this client sends more than it may") as caught:
        await client.infer(request)
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert int(dict(caught.value.trailing_metadata())["isthmus-retry-after-ms"]) > 900_000


async def test_a_client_has_no_more_requests_in_flight_than_it_may(serve, client_of, ask, golden_frames, gate):
    client = client_of(await serve(client=ClientLimits(in_flight=1)))
    request = ask("tiny", codes=golden_frames[0][:1])
    computing = asyncio.create_task(client.infer(request))
    await gate.is_entered()
    assert (await client.refused(request))[0] == "RESOURCE_EXHAUSTED"
    gate.event.set()
    await computing
    assert (await client.infer(request)).model_name == "tiny"


async def test_bytes_of_requests_count_for_the_client_however_they_are_sent(serve, client_of, ask):
    client = client_of(await serve(client=ClientLimits(bytes_per_s=100.0)))
    listed = ask("tiny", codes=np.zeros((2, 4, 4, 4), np.int8))
    del listed.raw_input_contents[:]
    listed.inputs[0].contents.int_contents.extend([0] * 128)
    await client.infer(listed)
    assert (await client.refused(listed))[1].startswith("this client sends more than it may")


async def test_a_request_whose_time_is_over_is_not_computed(serve, client_of, ask, golden_frames, gate):
    client = client_of(await serve())
    request = ask("tiny", codes=golden_frames[0][:1])
    late = ask("tiny", codes=golden_frames[0][:1])
    late.parameters["timeout"].int64_param = 1
    computing = asyncio.create_task(client.infer(request))
    await gate.is_entered()
    refused = asyncio.create_task(client.refused(late))
    gate.event.set()
    assert await refused == ("DEADLINE_EXCEEDED", "the time for this request was over before it was computed")
    await computing
    assert gate.runs == [1]


@pytest.mark.parametrize("how", ["cancel", "deadline"])
async def test_a_call_that_is_given_up_is_not_computed(serve, client_of, ask, golden_frames, gate, how, queued):
    server = await serve()
    client, request = client_of(server), ask("tiny", codes=golden_frames[0][:1])
    computing = asyncio.create_task(client.infer(request))
    await gate.is_entered()
    given_up = client.stub.ModelInfer(request, timeout=0.2 if how == "deadline" else None)
    await wait_for(lambda: queued(server) == 1)
    if how == "cancel":
        given_up.cancel()
    assert (await given_up.code()).name == {"cancel": "CANCELLED", "deadline": "DEADLINE_EXCEEDED"}[how]
    await wait_for(lambda: server._inference._calls == 1)
    gate.event.set()
    await computing
    await client.infer(request)
    assert gate.runs == [1, 1]


async def test_a_network_that_fails_is_an_internal_error_in_one_line(client, ask, golden_frames, monkeypatch):
    def fail(*_arguments):
        raise DeviceError("the network gave NaN or infinity in output 'scores' for this input")

    monkeypatch.setattr(TailModel, "_compute_codes", fail)
    assert await client.refused(ask("tiny", codes=golden_frames[0][:1])) == (
        "INTERNAL",
        "the network gave NaN or infinity in output 'scores' for this input",
    )


async def test_what_went_wrong_inside_is_not_told_to_clients(client, ask, golden_frames, monkeypatch):
    def fail(*_arguments):
        raise MemoryError("secret")

    monkeypatch.setattr(TailModel, "_compute_codes", fail)
    assert await client.refused(ask("tiny", codes=golden_frames[0][:1])) == (
        "INTERNAL",
        "the server failed on this request; its log says why",
    )


async def test_an_answer_that_no_message_has_room_for_is_refused(serve, client_of, ask):
    client = client_of(await serve(limits=Limits(message_bytes=66_000)))
    status, details = await client.refused(ask("tiny", codes=np.zeros((64, 4, 4, 4), np.int8)))
    assert (status, details.partition(",")[0]) == ("RESOURCE_EXHAUSTED", "the outputs have 1280 bytes")


async def test_a_server_that_stops_answers_what_came_and_takes_nothing_more(serve, client_of, ask, golden_frames, gate):
    server = await serve()
    client, request = client_of(server), ask("tiny", codes=golden_frames[0][:1])
    computing = asyncio.create_task(client.infer(request))
    await gate.is_entered()
    stopping = asyncio.create_task(server.stop(10))
    await wait_for(lambda: server._inference._draining)
    assert await client.refused(request) == ("UNAVAILABLE", "this server is draining; use another one, or come back later")
    assert not (await client.stub.ServerReady(wire.ServerReadyRequest())).ready
    assert not (await client.stub.ModelReady(wire.ModelReadyRequest(name="tiny"))).ready
    gate.event.set()
    assert (await computing).model_name == "tiny"
    await stopping


async def test_requests_are_counted_by_bundle_method_and_status(serve, client_of, ask, golden_frames):
    server = await serve()
    client = client_of(server)
    await client.infer(ask("tiny", codes=golden_frames[0][:1]))
    await client.refused(ask("tiny", codes=golden_frames[0][:, :2]))
    await client.refused(ask("other"))
    text = server._metrics.text().decode()
    assert 'isthmus_requests_total{bundle="tiny",method="ModelInfer",status="ok",version="1"} 1.0' in text
    assert 'isthmus_requests_total{bundle="tiny",method="ModelInfer",status="invalid_argument",version="1"} 1.0' in text
    assert 'isthmus_requests_total{bundle="",method="ModelInfer",status="not_found",version=""} 1.0' in text
