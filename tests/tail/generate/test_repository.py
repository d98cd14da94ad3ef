"""Language models come and go in a repository as other bundles do, beside them."""

import shutil

import grpc
import pytest

from isthmus.contract.generated import open_inference_pb2, open_inference_pb2_grpc, split_pb2_grpc
from isthmus.contract.generated import split_pb2 as wire
from isthmus.tail.repository.folder import RepositoryFolder


@pytest.fixture
async def server(serve, tmp_path, halves, tiny_bundle):
    """Of a repository with a language model and a network of frames; nobody looks at it but the test."""
    for name, bundle in (("model", halves.bundle), ("tiny", tiny_bundle)):
        shutil.copytree(bundle.folder, tmp_path / name / "1")
    return await serve(bundle=RepositoryFolder(path=tmp_path, mode="poll", poll_s=3600.0))


async def test_both_kinds_are_served_side_by_side(server, converse, connect, payload):
    assert {served.name: served.task for served in server._catalog} == {"model": "language", "tiny": "classification"}
    talk, device = converse(server), connect(server)
    assert (await talk.open(bundle="model")).allowed
    await device.open(bundle="tiny")
    assert (await talk.ask([5, 6, 7])).status == (await device.ask(1, codes=payload)).status == wire.STATUS_OK


async def test_a_conversation_is_asked_to_leave_when_its_model_is_removed(server, converse, tmp_path, halves):
    talk = converse(server)
    await talk.open()
    await talk.ask([5, 6, 7])
    shutil.rmtree(tmp_path / "model")
    await server.repository.look()
    assert (await talk.receive()).drain.reason == "model 1 was removed from the repository"
    assert await talk.end() is grpc.StatusCode.OK
    await server.repository.settled()
    assert (len(server._conversations), server._conversations.size_bytes) == (0, 0)
    assert [served.name for served in server._catalog] == ["tiny"]


async def test_requests_of_the_other_protocol_find_no_language_model(server, channel_to):
    stub = open_inference_pb2_grpc.GRPCInferenceServiceStub(channel_to(server))
    index = await stub.RepositoryIndex(open_inference_pb2.RepositoryIndexRequest(ready=True))
    assert {model.name for model in index.models} == {"tiny", "tiny_whole"}
    with pytest.raises(grpc.aio.AioRpcError, match="is a language model"):
        await stub.ModelMetadata(open_inference_pb2.ModelMetadataRequest(name="model"))


async def test_a_language_model_is_handed_out_for_updates_too(server, channel_to, halves):
    call = split_pb2_grpc.TailStub(channel_to(server)).FetchBundle(wire.FetchBundleRequest(bundle="model", look_only=True))
    assert (await call.read()).archive_bytes > halves.bundle.size_bytes()
