import shutil

import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from isthmus.contract.generated import open_inference_pb2 as wire
from isthmus.tail.repository.folder import RepositoryFolder


@pytest.fixture
def index():
    """A function that gives the index of a client's server: `name version` to state."""

    async def read(client, **fields):
        told = await client.stub.RepositoryIndex(wire.RepositoryIndexRequest(**fields))
        return {f"{model.name} {model.version}": model.state for model in told.models}

    return read


@pytest.fixture
async def explicit(serve, client_of, make_tiny_bundle, tmp_path):
    """A client of a repository of two versions of which nothing is loaded."""
    for version in ("1", "2"):
        shutil.copytree(make_tiny_bundle("cups", seed=int(version)).folder, tmp_path / "cups" / version)
    return client_of(await serve(bundle=RepositoryFolder(path=tmp_path, mode="explicit")))


def load(**fields):
    return wire.RepositoryModelLoadRequest(**fields)


def unload(**fields):
    return wire.RepositoryModelUnloadRequest(**fields)


async def test_a_single_bundle_is_two_models(client, index):
    assert await index(client) == {"tiny 1": "READY", "tiny_whole 1": "READY"}


async def test_what_is_not_loaded_is_listed_with_the_reason(explicit, index):
    assert await index(explicit) == {"cups 1": "UNAVAILABLE", "cups 2": "UNAVAILABLE"}
    assert await index(explicit, ready=True) == {}
    told = await explicit.stub.RepositoryIndex(wire.RepositoryIndexRequest())
    assert [model.reason for model in told.models] == ["not loaded", "not loaded"]


async def test_a_model_is_loaded_asked_and_unloaded_by_a_client(explicit, index, ask, golden_frames):
    request = ask("cups", codes=golden_frames[0][:1])
    assert (await explicit.refused(request))[0] == "NOT_FOUND"
    await explicit.stub.RepositoryModelLoad(load(model_name="cups"))
    assert await index(explicit, ready=True) == {"cups 2": "READY", "cups_whole 2": "READY"}
    assert (await explicit.infer(request)).model_version == "2"
    await explicit.stub.RepositoryModelUnload(unload(model_name="cups"))
    assert (await explicit.refused(request))[0] == "NOT_FOUND"


async def test_health_follows_what_is_loaded(explicit):
    health = health_pb2_grpc.HealthStub(explicit.channel)
    question = health_pb2.HealthCheckRequest(service="cups")
    await explicit.stub.RepositoryModelLoad(load(model_name="cups"))
    assert (await health.Check(question)).status == health_pb2.HealthCheckResponse.SERVING
    await explicit.stub.RepositoryModelUnload(unload(model_name="cups"))
    assert (await health.Check(question)).status == health_pb2.HealthCheckResponse.NOT_SERVING


async def test_one_version_is_loaded_beside_another_and_unloaded(explicit, index, ask, golden_frames):
    await explicit.stub.RepositoryModelLoad(load(model_name="cups"))
    first = {"version": wire.ModelRepositoryParameter(string_param="1")}
    await explicit.stub.RepositoryModelLoad(load(model_name="cups", parameters=first))
    told = await explicit.stub.ModelMetadata(wire.ModelMetadataRequest(name="cups"))
    assert list(told.versions) == ["1", "2"]
    assert (await explicit.infer(ask("cups", version="1", codes=golden_frames[0][:1]))).model_version == "1"
    await explicit.stub.RepositoryModelUnload(unload(model_name="cups", parameters=first))
    assert list((await explicit.stub.ModelMetadata(wire.ModelMetadataRequest(name="cups"))).versions) == ["2"]


async def test_a_parameter_that_tritons_client_always_sends_is_passed_over(explicit, index):
    await explicit.stub.RepositoryModelLoad(load(model_name="cups"))
    dependents = {"unload_dependents": wire.ModelRepositoryParameter(bool_param=False)}
    await explicit.stub.RepositoryModelUnload(unload(model_name="cups", parameters=dependents))
    assert await index(explicit, ready=True) == {}


async def test_the_whole_network_comes_and_goes_with_its_bundle(explicit):
    await explicit.stub.RepositoryModelLoad(load(model_name="cups"))
    assert await explicit.refused(unload(model_name="cups_whole"), "RepositoryModelUnload") == (
        "INVALID_ARGUMENT",
        "model 'cups_whole' comes and goes with 'cups'; name that",
    )


@pytest.mark.parametrize(
    ("request_", "status", "message"),
    [
        (load(model_name="other"), "NOT_FOUND", "the repository has no bundle 'other'; it has 'cups'"),
        (load(model_name="../../etc"), "NOT_FOUND", "the repository has no bundle '../../etc'"),
        (load(), "INVALID_ARGUMENT", "no model is named"),
        (load(model_name="cups", repository_name="elsewhere"), "INVALID_ARGUMENT", "repository 'elsewhere' is not known"),
        (
            load(model_name="cups", parameters={"config": wire.ModelRepositoryParameter(string_param="{}")}),
            "INVALID_ARGUMENT",
            "parameter 'config' is not taken",
        ),
        (
            load(model_name="cups", parameters={"file:1/model.onnx": wire.ModelRepositoryParameter(bytes_param=b"x")}),
            "INVALID_ARGUMENT",
            "parameter 'file:1/model.onnx' is not taken",
        ),
    ],
)
async def test_a_load_that_cannot_be_is_refused(explicit, request_, status, message):
    found = await explicit.refused(request_, "RepositoryModelLoad")
    assert found[0] == status
    assert found[1].startswith(message)


async def test_an_unload_of_what_is_not_served_is_not_found(explicit):
    assert (await explicit.refused(unload(model_name="cups"), "RepositoryModelUnload"))[0] == "NOT_FOUND"


async def test_a_server_of_one_bundle_takes_no_loads_and_unloads(client):
    for method, request in (
        ("RepositoryModelLoad", load(model_name="tiny")),
        ("RepositoryModelUnload", unload(model_name="tiny")),
    ):
        status, details = await client.refused(request, method)
        assert (status, details.rpartition("; ")[2]) == ("FAILED_PRECONDITION", "serve a repository with --mode explicit")


async def test_another_repository_has_no_index_here(client):
    request = wire.RepositoryIndexRequest(repository_name="elsewhere")
    assert (await client.refused(request, "RepositoryIndex"))[0] == "INVALID_ARGUMENT"
