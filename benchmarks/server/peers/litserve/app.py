"""LitServe's way: an API class in a worker process behind an HTTP server. Tensors cross in base64 in JSON, as its guides do it.

    python app.py PORT BATCH

`fast_queue` carries requests to the worker over ZeroMQ. With a BATCH above 1 the worker waits up to 1 ms for so many requests.
"""

import base64
import sys

import litserve
import numpy as np
from fastapi import Response
from session import Tail


class TailAPI(litserve.LitAPI):
    """Runs `tail.onnx`."""

    def setup(self, device):
        self._tail = Tail()

    def decode_request(self, request):
        return base64.b64decode(request["codes"])

    def predict(self, x):
        return self._tail.run_bytes(x)

    def encode_response(self, output):
        return Response(output, media_type="application/octet-stream")


class BatchAPI(TailAPI):
    """The same with several frames in a run."""

    def batch(self, inputs):
        return b"".join(inputs)

    def unbatch(self, output):
        scores = np.frombuffer(output, np.float32).reshape(-1, self._tail.outputs)
        return [row.tobytes() for row in scores]


if __name__ == "__main__":
    batch = int(sys.argv[2])
    api = TailAPI() if batch == 1 else BatchAPI(max_batch_size=batch, batch_timeout=0.001)
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=1, fast_queue=True)
    server.run(
        host="127.0.0.1",
        port=int(sys.argv[1]),
        num_api_servers=1,
        generate_client_file=False,
        log_level="warning",
        access_log=False,
    )
