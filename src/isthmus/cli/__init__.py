"""The command line."""

import os

# Both libraries write what they meet to standard error by themselves; what matters of it comes as one line of ours.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
os.environ.setdefault("OPENCV_LOG_LEVEL", "OFF")
