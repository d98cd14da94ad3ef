"""What Triton's own client can do with a server, run where that client is installed and Isthmus is not.

    python tests/triton_client.py HOST:PORT NAME golden.npz

The server has a repository with mode explicit, in which version 1 of NAME lies, not loaded. One line for each thing that went
well; the first that does not ends the program.
"""

import queue
import sys

import numpy as np
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException


def inputs(name, array, datatype):
    given = triton.InferInput(name, list(array.shape), datatype)
    given.set_data_from_numpy(array)
    return [given]


def refused(call, *arguments, **options):
    """The status and message of a call that fails."""
    try:
        call(*arguments, **options)
    except InferenceServerException as error:
        return error.status(), error.message()
    raise AssertionError(f"{call} was not refused")


class Program:
    """The calls in their order.

    Args:
        client: of the server.
        name: of the bundle.
        codes: int8[frame, ...].
        pictures: float32[frame, ...].
        scores: float32[frame, ...] that the tail gives for the codes.
    """

    def __init__(self, client, name, codes, pictures, scores):
        self.client, self.name, self.whole = client, name, f"{name}_whole"
        self.codes, self.pictures, self.scores = codes, pictures, scores

    def server(self):
        assert self.client.is_server_live()
        assert self.client.is_server_ready()
        assert self.client.get_server_metadata().name == "isthmus"

    def index(self):
        models = self.client.get_model_repository_index().models
        assert [(model.name, model.version, model.state) for model in models] == [(self.name, "1", "UNAVAILABLE")], models
        assert not self.client.is_model_ready(self.name)

    def load(self):
        self.client.load_model(self.name)
        assert self.client.is_model_ready(self.name)
        assert self.client.is_model_ready(self.whole, model_version="1")
        models = self.client.get_model_repository_index().models
        assert [(model.name, model.state) for model in models] == [(self.name, "READY"), (self.whole, "READY")], models

    def metadata(self):
        told = self.client.get_model_metadata(self.name, as_json=True)
        assert [int(size) for size in told["inputs"][0]["shape"]] == [-1, *self.codes.shape[1:]], told
        config = self.client.get_model_config(self.name).config
        assert config.backend == "onnxruntime"
        assert list(config.input[0].dims) == list(self.codes.shape[1:])
        assert config.parameters["isthmus.contract_digest"].string_value

    def tail(self):
        answer = self.client.infer(self.name, inputs("codes", self.codes, "INT8"), request_id="7", timeout=10_000_000)
        assert (answer.get_response().id, answer.get_response().model_version) == ("7", "1")
        np.testing.assert_allclose(answer.as_numpy("scores"), self.scores, rtol=1e-4)

    def whole_network(self):
        wanted = [triton.InferRequestedOutput("scores")]
        answer = self.client.infer(self.whole, inputs("image", self.pictures, "FP32"), outputs=wanted)
        assert answer.as_numpy("scores").shape == self.scores.shape
        assert np.isfinite(answer.as_numpy("scores")).all()

    def compressed(self):
        given = inputs("codes", self.codes[:1], "INT8")
        answer = self.client.infer(self.name, given, compression_algorithm="gzip", client_timeout=10)
        np.testing.assert_allclose(answer.as_numpy("scores"), self.scores[:1], rtol=1e-4)

    def without_waiting(self):
        answers = queue.Queue()
        given = inputs("codes", self.codes, "INT8")
        self.client.async_infer(self.name, given, lambda result, error: answers.put((result, error)))
        result, error = answers.get(timeout=10)
        assert error is None, error
        np.testing.assert_allclose(result.as_numpy("scores"), self.scores, rtol=1e-4)

    def stream(self):
        answers = queue.Queue()
        self.client.start_stream(lambda result, error: answers.put((result, error)))
        for number in range(len(self.codes)):
            given = inputs("codes", self.codes[number : number + 1], "INT8")
            self.client.async_stream_infer(self.name, given, request_id=str(number), enable_empty_final_response=True)
        self.client.async_stream_infer("nobody", inputs("codes", self.codes, "INT8"))
        for number in range(len(self.codes)):
            result, error = answers.get(timeout=10)
            assert error is None, error
            assert result.get_response().id == str(number)
            assert result.get_response().parameters["triton_final_response"].bool_param
            np.testing.assert_allclose(result.as_numpy("scores")[0], self.scores[number], rtol=1e-4)
        assert "NOT_FOUND" in str(answers.get(timeout=10)[1])
        self.client.stop_stream()

    def refusals(self):
        status, said = refused(self.client.infer, self.name, inputs("codes", np.full_like(self.codes, 100), "INT8"))
        assert (status, "\n" in said) == ("StatusCode.INVALID_ARGUMENT", False), said
        status, said = refused(self.client.infer, "nobody", inputs("codes", self.codes, "INT8"))
        assert status == "StatusCode.NOT_FOUND", said
        status, said = refused(self.client.get_inference_statistics, self.name)
        assert status == "StatusCode.UNIMPLEMENTED", said
        status, said = refused(self.client.load_model, self.name, config="{}")
        assert status == "StatusCode.INVALID_ARGUMENT", said

    def unload(self):
        self.client.unload_model(self.name)
        assert not self.client.is_model_ready(self.name)
        assert not self.client.is_model_ready(self.whole)

    def run(self):
        order = (
            self.server,
            self.index,
            self.load,
            self.metadata,
            self.tail,
            self.whole_network,
            self.compressed,
            self.without_waiting,
            self.stream,
            self.refusals,
            self.unload,
        )
        for step in order:
            step()
            print(step.__name__)


def main(address, name, golden):
    with np.load(golden, allow_pickle=False) as file:
        frames = [file[key] for key in ("codes_0", "input", "outputs_scores")]
    with triton.InferenceServerClient(address) as client:
        Program(client, name, *frames).run()


if __name__ == "__main__":
    main(*sys.argv[1:])
