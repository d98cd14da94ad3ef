"""How much memory a network takes: in a process of its own, where nothing was freed before that it could reuse."""

import subprocess
import sys
from pathlib import Path

import numpy as np

from isthmus.devices.memory import resident_bytes
from isthmus.devices.runtime import Network
from isthmus.errors import DeviceError

_TIMEOUT_S = 120.0


def measure(path: Path) -> int:
    """Bytes by which a process grows when it loads a network and runs it twice, one thread, beyond onnxruntime itself.

    Raises:
        DeviceError: the process fails or hangs.
    """
    command = [sys.executable, "-m", "isthmus.devices.cost.footprint", str(path)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise DeviceError(f"loading {path} took longer than {_TIMEOUT_S:g} s") from error
    if done.returncode or not done.stdout.strip().isdecimal():
        raise DeviceError(
            f"loading {path} in a process of its own failed: {(done.stderr.strip().splitlines() or ['?'])[-1][:200]}"
        )
    return int(done.stdout)


def _growth_bytes(path: Path) -> int:
    import onnxruntime

    del onnxruntime
    before = resident_bytes()
    network = Network.load(path)
    feeds = {port.name: np.zeros([size or 1 for size in port.shape], port.dtype) for port in network.inputs}
    for _ in range(2):
        network.run(feeds)
    return max(0, resident_bytes() - before)


if __name__ == "__main__":
    sys.stdout.write(f"{_growth_bytes(Path(sys.argv[1]))}\n")
