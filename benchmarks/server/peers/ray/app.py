"""Ray Serve's way: a deployment behind its gRPC proxy; codes and scores cross as bytes."""

import sys
import tempfile
import threading

import ray
from google.protobuf.wrappers_pb2 import BytesValue
from ray import serve
from ray.serve.config import gRPCOptions
from session import Tail


@serve.deployment(
    num_replicas=1,
    max_ongoing_requests=100,
    ray_actor_options={"num_cpus": 0.5},
    logging_config={"log_level": "ERROR", "enable_access_log": False},
)
class TailDeployment:
    """Runs `tail.onnx`."""

    def __init__(self):
        self._tail = Tail()

    async def Predict(self, request):
        return BytesValue(value=self._tail.run_bytes(request.value))


def main():
    port = int(sys.argv[1])
    # The sockets' paths lie below this folder and may have 107 bytes.
    with tempfile.TemporaryDirectory(prefix="ray") as folder:
        ray.init(num_cpus=2, include_dashboard=False, _node_ip_address="127.0.0.1", logging_level="ERROR", _temp_dir=folder)
        options = gRPCOptions(port=port, grpc_servicer_functions=["tail_rpc.add_to_server"])
        serve.start(proxy_location="HeadOnly", http_options={"host": "127.0.0.1", "port": port + 1}, grpc_options=options)
        serve.run(TailDeployment.bind(), route_prefix="/")
        threading.Event().wait()


if __name__ == "__main__":
    main()
