"""A client of the Open Inference Protocol, with nothing but the generated code."""

import grpc
import numpy as np
import pytest

from isthmus.contract import tensor
from isthmus.contract.generated import open_inference_pb2 as wire
from isthmus.contract.generated import open_inference_pb2_grpc
from isthmus.devices.runtime import Network


class Client:
    """Calls of one server, as a program without Isthmus would make them."""

    def __init__(self, channel):
        self.channel = channel
        self.stub = open_inference_pb2_grpc.GRPCInferenceServiceStub(channel)

    async def infer(self, request, **options):
        return await self.stub.ModelInfer(request, **options)

    async def refused(self, request, method="ModelInfer", **options):
        """The status and message of a call that fails."""
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await getattr(self.stub, method)(request, **options)
        return caught.value.code().name, caught.value.details()


def _ask(name="tiny", /, *, version="", request_id="", **arrays):
    request = wire.ModelInferRequest(model_name=name, model_version=version, id=request_id)
    for key, array in arrays.items():
        request.inputs.add(name=key, datatype=tensor.datatype(array.dtype), shape=array.shape)
        request.raw_input_contents.append(array.tobytes())
    return request


def _outputs(response):
    pairs = zip(response.outputs, response.raw_output_contents, strict=True)
    return {output.name: np.frombuffer(raw, tensor.DATATYPES[output.datatype]).reshape(output.shape) for output, raw in pairs}


@pytest.fixture(scope="session")
def ask():
    """A function that makes a request with raw contents: the model's name, then arrays by the names of its inputs."""
    return _ask


@pytest.fixture(scope="session")
def outputs():
    """A function that gives the arrays of a response by name."""
    return _outputs


@pytest.fixture(scope="session")
def queued():
    """A function that counts what waits in the queues of a server."""
    return lambda server: sum(served.batcher.queued for served in server._catalog)


@pytest.fixture
def client_of(channel_to):
    """A function that makes a client of a server."""
    return lambda server: Client(channel_to(server))


@pytest.fixture
async def client(serve, client_of):
    """A client of a server of default settings that serves the tiny bundle."""
    return client_of(await serve())


@pytest.fixture(scope="session")
def golden_frames(tiny_bundle):
    """Codes int8[3, 4, 4, 4], pictures float32[3, 3, 32, 32] and the tail's scores float32[3, 5] of the tiny bundle."""
    with np.load(tiny_bundle.path("golden.npz")) as file:
        return file["codes_0"], file["input"], file["outputs_scores"]


@pytest.fixture(scope="session")
def whole(tiny_bundle):
    """The tiny bundle's whole network."""
    return Network.load(tiny_bundle.path("whole.onnx"))
