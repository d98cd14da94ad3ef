"""Times one network: as it runs, and kernel by kernel."""

import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from isthmus.contract.bundle import Bundle
from isthmus.devices import pace
from isthmus.devices.cost import footprint
from isthmus.devices.cost.kernel import Kernel, read_recording
from isthmus.devices.runtime import Array, Network, Provider
from isthmus.errors import DeviceError

RUNS = 20
"""Medians of so many runs of a quiet machine differ by some percent from one measurement to the next."""
SETTLE_RUNS = 3
"""Of a recording; its first runs allocate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timed:
    """One network.

    Attributes:
        seconds: one for each run without recording, after a warm-up.
        kernels: scaled so that together they take the median of `seconds`: recording itself takes time, and between kernels some
            passes that none of them has.
        recorded_seconds: what the kernels took together in the recording, before that.
        settled: whether times had stopped changing before the first run that counts.
        resident_bytes: see `footprint`; None where it could not be told.
    """

    seconds: tuple[float, ...]
    kernels: tuple[Kernel, ...]
    recorded_seconds: float
    settled: bool
    resident_bytes: int | None


def time_network(
    bundle: Bundle,
    name: str,
    feeds: Mapping[str, Array],
    *,
    threads: int = 1,
    providers: Sequence[Provider] = ("CPUExecutionProvider",),
    runs: int = RUNS,
) -> Timed:
    """Time a network of a bundle.

    Args:
        bundle: where it comes from.
        name: its file there.
        feeds: one array for each of its inputs.
        threads: of onnxruntime.
        providers: execution providers, best first.
        runs: how often it runs, each way.

    Raises:
        BundleError: the bundle has no such network, or the feeds do not fit it.
        DeviceError: onnxruntime fails.
    """
    network = Network.of_bundle(bundle, name, threads=threads, providers=providers)
    warm = pace.warm_up(lambda: run_s(network, feeds))
    seconds = tuple(run_s(network, feeds) for _ in range(runs))
    kernels = _record(bundle, name, feeds, threads=threads, providers=providers, runs=runs)
    together = sum(kernel.seconds for kernel in kernels)
    scale = median(seconds) / together if together else 1.0
    scaled = tuple(kernel.model_copy(update={"seconds": kernel.seconds * scale}) for kernel in kernels)
    return Timed(
        seconds=seconds,
        kernels=scaled,
        recorded_seconds=together,
        settled=warm.settled,
        resident_bytes=_footprint_bytes(bundle.path(name)),
    )


def _footprint_bytes(path: Path) -> int | None:
    try:
        return footprint.measure(path)
    except DeviceError:
        # Zeros are no fit input for every network; its times are known all the same.
        return None


def run_s(network: Network, feeds: Mapping[str, Array]) -> float:
    """Seconds of one run."""
    started = time.perf_counter()
    network.run(feeds)
    return time.perf_counter() - started


def _record(
    bundle: Bundle, name: str, feeds: Mapping[str, Array], *, threads: int, providers: Sequence[Provider], runs: int
) -> tuple[Kernel, ...]:
    with tempfile.TemporaryDirectory(prefix="isthmus-recording-") as folder:
        network = Network.of_bundle(bundle, name, threads=threads, providers=providers, record=Path(folder) / "run")
        for _ in range(SETTLE_RUNS + runs):
            network.run(feeds)
        return read_recording(network.recorded().read_text(encoding="utf-8"), skip=SETTLE_RUNS)
