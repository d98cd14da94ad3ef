"""The bare loop: onnxruntime in this thread, one frame after the other, and nothing around it."""

import time

import numpy as np
import onnxruntime
from benchmarks.server.figures import Figures


def open_session(model: bytes | str) -> onnxruntime.InferenceSession:
    """As all servers open it: one thread that does not spin."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def measure(session: onnxruntime.InferenceSession, codes: np.ndarray, seconds: float) -> Figures:
    """Run for so long; the CPU time is this thread's."""
    feeds = {session.get_inputs()[0].name: codes}
    latencies = []
    session.run(None, feeds)
    begun, cpu = time.perf_counter(), time.thread_time()
    now = begun
    while now < begun + seconds:
        session.run(None, feeds)
        done = time.perf_counter()
        latencies.append(done - now)
        now = done
    return Figures(seconds=now - begun, latencies_s=np.array(latencies), server_cpu_s=time.thread_time() - cpu)
