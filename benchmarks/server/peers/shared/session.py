"""The tail as every peer runs it: the file that the benchmark names, one thread that does not spin.

The peers' folders are programs of their own, run in environments of their own; this module is found by their PYTHONPATH.
"""

import os

import numpy as np
import onnxruntime

SHAPE = tuple(int(side) for side in os.environ.get("TAIL_SHAPE", "12,14,14").split(","))
"""Of the codes of one frame."""


class Tail:
    """A session of the tail."""

    def __init__(self):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        path = os.environ["TAIL"]
        self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self._name = self._session.get_inputs()[0].name
        self.outputs = self._session.get_outputs()[0].shape[-1]
        """Scores of one frame."""

    def run(self, codes):
        """Scores as float32[batch, class] of int8[batch, channel, row, column]."""
        return self._session.run(None, {self._name: codes})[0]

    def run_bytes(self, data):
        """The same from bytes to bytes, one frame or several."""
        return self.run(np.frombuffer(data, np.int8).reshape(-1, *SHAPE)).tobytes()
