"""The edge server beside a bare onnxruntime loop and other servers: `python -m benchmarks.server`, see `__main__`."""

import os

# Servers that stop say goodbye to channels that are still open; gRPC would tell the reader of every one.
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
