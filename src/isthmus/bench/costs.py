"""`isthmus bench --profile`: what a bundle costs on this machine, kernel by kernel, stage by stage and cut by cut."""

import datetime
import importlib.util
import itertools
import platform
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from isthmus.bench import stages
from isthmus.bench.progress import Progress
from isthmus.bench.stages import PAUSE_S, spread
from isthmus.contract.bundle import Bundle, open_bundle
from isthmus.devices import detect, golden, pace, steadiness
from isthmus.devices.cost import speed
from isthmus.devices.cost.attribution import Node, seconds_by_node
from isthmus.devices.cost.recorder import RUNS, Timed, run_s, time_network
from isthmus.devices.cost.table import CostTable, CutCost, Device, NetworkCost, Seconds
from isthmus.devices.profiles import catalog
from isthmus.devices.runtime import Array, Network
from isthmus.errors import ConfigError
from isthmus.head.source import open_source

if TYPE_CHECKING:
    import onnx_ir as ir

    from isthmus.export.cutting.cuts import Cut

PICTURES, STEP_MAX = 16, 8
"""Frames of the source that stages are timed on, in turn: every so many-th, at most, of a source that has more."""
CHECKED_SHARES = (0.25, 0.5, 0.75)
"""Of the network's time: the cuts nearest to these are made and timed, to see how far the sums of kernels are from the truth."""
WHOLE, TAIL = "whole.onnx", "tail.onnx"


def profile(
    path: Path, source: str, *, device: str | None = None, on_progress: Callable[[Progress], None] = lambda _progress: None
) -> CostTable:
    """Measure the costs of a bundle on this machine, one thread on its CPU.

    Args:
        path: of the bundle.
        source: frames that stages are timed on.
        device: name or file of this machine's profile; chosen by what the machine says when None.
        on_progress: called before each part.

    Raises:
        IsthmusError: bundle or source.
    """
    bundle = open_bundle(path)
    chosen = catalog.choose(platform.machine(), detect.board()) if device is None else catalog.load(device)
    pictures = _pictures(source)
    on_progress(Progress(part="looking at the machine"))
    machine = detect.detect()
    pace.cool_down()
    before = steadiness.look(time.monotonic())
    one_core = speed.measure()
    on_progress(Progress(part="timing stages"))
    timings = stages.measure(bundle, pictures, runs=RUNS, pause_s=PAUSE_S)
    timed = {}
    for name, feeds in _networks(bundle).items():
        on_progress(Progress(part=f"timing {name}, kernel by kernel"))
        timed[name] = time_network(bundle, name, feeds)
    cuts, cut_error = _cuts(bundle, timed, on_progress)
    steady = steadiness.compare(before, steadiness.look(time.monotonic()))
    return CostTable(
        kind="measured",
        bundle=bundle.manifest.id,
        contract_digest=bundle.digest,
        created=now(),
        device=Device(
            profile="unknown" if chosen is None else chosen.name,
            cpu_model=machine.cpu_model,
            architecture=machine.architecture,
            threads=1,
            provider="CPUExecutionProvider",
            onnxruntime=machine.onnxruntime or "unknown",
            speed=one_core,
        ),
        stages=timings.seconds,
        payload_bytes=timings.payload_bytes,
        networks={name: _network_cost(one) for name, one in timed.items()},
        cuts=cuts,
        cut_error=cut_error,
        steady=steady.is_steady,
        unsteady_because=steady.reasons,
    )


def now() -> str:
    """Date and time of a table."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def _pictures(source: str) -> list[np.ndarray]:
    """Frames spread over the beginning of a source: neighbours are alike."""
    with open_source(source) as frames:
        step = 1 if frames.length is None else max(1, min(STEP_MAX, frames.length // PICTURES))
        read = itertools.islice(iter(frames.read, None), 0, PICTURES * step, step)
        found = [frame.image for frame in read]
    if not found:
        raise ConfigError(f"{source} gave no frame to time the stages on; name another --source")
    return found


def _networks(bundle: Bundle) -> dict[str, dict[str, Array]]:
    """Networks of the bundle with what goes into them: golden frames."""
    frames = golden.read(bundle)
    manifest = bundle.manifest
    picture = {manifest.input.name: frames.inputs[:1]}
    codes = {tensor.name: array[:1] for tensor, array in zip(manifest.boundary.tensors, frames.codes, strict=True)}
    wanted = {golden.HEAD: picture, golden.INT8_HEAD: picture, TAIL: codes, WHOLE: picture, "local.onnx": picture}
    return {name: feeds for name, feeds in wanted.items() if bundle.has(name)}


def _network_cost(timed: Timed) -> NetworkCost:
    return NetworkCost(total=spread(timed.seconds), kernels=timed.kernels, resident_bytes=timed.resident_bytes)


def _cuts(
    bundle: Bundle, timed: dict[str, Timed], on_progress: Callable[[Progress], None]
) -> tuple[tuple[CutCost, ...], float | None]:
    if WHOLE not in timed or importlib.util.find_spec("onnx_ir") is None:
        return (), None
    from isthmus.export.cutting import cuts as places
    from isthmus.export.cutting.listing import shortlist
    from isthmus.export.doors.opening import open_model
    from isthmus.export.graph.flow import analyse, name_of

    on_progress(Progress(part="adding up the cuts"))
    model = open_model(str(bundle.path(WHOLE))).model
    nodes = [Node(name=node.name or "", outputs=tuple(map(name_of, node.outputs))) for node in analyse(model.graph).order]
    sums = np.cumsum(seconds_by_node(timed[WHOLE].kernels, nodes))
    shown = shortlist(places.enumerate(model))
    whole = spread(timed[WHOLE].seconds)
    found = tuple(_cut_cost(cut, float(sums[cut.index]), whole) for cut in shown)
    return found, _error(model, shown, found, bundle, whole.value, on_progress)


def _cut_cost(cut: "Cut", before_s: float, whole: Seconds) -> CutCost:
    after_s = max(0.0, whole.value - before_s)
    return CutCost(
        index=cut.index,
        tensors=cut.tensors,
        bytes=cut.bytes,
        values=cut.values,
        flops_share=cut.flops_share,
        before=_spread_like(before_s, whole),
        after=_spread_like(after_s, whole),
    )


def _spread_like(value_s: float, whole: Seconds) -> Seconds:
    """A part scatters as the whole does."""
    scale = value_s / whole.value if whole.value else 0.0
    return Seconds(value=value_s, low=whole.low * scale, high=whole.high * scale)


def _error(
    model: "ir.Model",
    cuts: "Sequence[Cut]",
    costs: Sequence[CutCost],
    bundle: Bundle,
    whole_s: float,
    on_progress: Callable[[Progress], None],
) -> float | None:
    """Make some of the cuts and time their heads; the largest difference, as part of the whole network's time."""
    if not cuts:
        return None
    feeds = _networks(bundle)[WHOLE]
    chosen = dict.fromkeys(
        min(range(len(cuts)), key=lambda index, share=share: abs(costs[index].before.value - share * whole_s))  # type: ignore[misc]
        for share in CHECKED_SHARES
    )
    errors = []
    for index in chosen:
        on_progress(Progress(part=f"timing a head cut at {cuts[index].index}"))
        errors.append(abs(_head_s(model, cuts[index], feeds) - costs[index].before.value) / whole_s)
    return max(errors)


def _head_s(model: "ir.Model", cut: "Cut", feeds: dict[str, Array]) -> float:
    import onnx_ir as ir

    from isthmus.export.cutting.split import split

    with tempfile.TemporaryDirectory(prefix="isthmus-cut-") as folder:
        ir.save(split(model, cut).head, Path(folder) / "head.onnx")
        network = Network.load(Path(folder) / "head.onnx")
        pace.warm_up(lambda: run_s(network, feeds))
        return float(np.median([run_s(network, feeds) for _ in range(RUNS)]))
