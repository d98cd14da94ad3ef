"""How fast one core of this machine multiplies and moves memory: what costs are carried over to other devices by.

Measured with numpy, whose product of matrices is about the best that a processor does, and which is there wherever Isthmus is: in
a process of its own, for numpy's library takes its number of threads from the environment when it is loaded. The best of several
turns counts: other programs only ever make it slower.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from isthmus.errors import DeviceError

_SIDE = 384
"""Three such matrices of float32 take 1.7 MB: large enough to reach the full rate, small enough to stay in a cache."""
_COPIED_BYTES = 64 * 2**20
"""Beyond the caches of one core's share."""
_TURNS = 12
_TIMEOUT_S = 60.0
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS"), "1")


class Speed(BaseModel):
    """Of one core: float32 operations (a multiply-add is 2) and bytes read or written, a second."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    flops_per_s: float = Field(gt=0)
    bytes_per_s: float = Field(gt=0)


def measure() -> Speed:
    """Measure it; about a second.

    Raises:
        DeviceError: the process fails or hangs.
    """
    command = [sys.executable, "-m", "isthmus.devices.cost.speed"]
    environment = {**os.environ, **_ONE_THREAD}
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=True, env=environment)
        return Speed.model_validate_json(done.stdout)
    except (subprocess.SubprocessError, ValidationError) as error:
        raise DeviceError(
            f"the speed of one core could not be measured: {type(error).__name__}; is the machine overloaded?"
        ) from error


def _measure_here() -> Speed:
    left = np.ones((_SIDE, _SIDE), np.float32)
    product = np.empty_like(left)
    source = np.ones(_COPIED_BYTES // 4, np.float32)
    target = np.empty_like(source)
    multiply_s = _best(lambda: np.matmul(left, left, out=product))
    copy_s = _best(lambda: np.copyto(target, source))
    return Speed(flops_per_s=2 * _SIDE**3 / multiply_s, bytes_per_s=2 * _COPIED_BYTES / copy_s)


def _best(work: Callable[[], object]) -> float:
    times = []
    for _ in range(_TURNS):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return max(1e-9, min(times))


if __name__ == "__main__":
    sys.stdout.write(_measure_here().model_dump_json())
