"""MLServer's way to serve a network of one's own: a runtime, here with tensors as raw bytes over gRPC.

`parallel_workers` is 0 in settings.json: inference runs in the server's process, which spares the way to a worker process and
back. Adaptive batching stays off: it waits for company, and a CPU gains nothing from it.
"""

from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceResponse
from session import Tail


class TailRuntime(MLModel):
    """Runs `tail.onnx`."""

    async def load(self):
        self._tail = Tail()
        return True

    async def predict(self, payload):
        codes = NumpyCodec.decode_input(payload.inputs[0])
        scores = NumpyCodec.encode_output("scores", self._tail.run(codes))
        return InferenceResponse(model_name=self.name, outputs=[scores])
