"""All ways to answer a frame that a bundle offers, and the exact cuts of its network beside them."""

from collections.abc import Iterator

from isthmus.bench.planning.candidate import ASSUMED, NO_BOTTLENECK, Candidate, together
from isthmus.bench.planning.figures import Figures
from isthmus.bench.planning.sides import Sides
from isthmus.contract.bundle import Bundle
from isthmus.contract.metric import Metric
from isthmus.devices.cost.table import CostTable, Seconds
from isthmus.errors import ConfigError, NotBuiltYet

ASSUMED_PICTURES = ("jpeg-75", "jpeg-90", "webp-75", "webp-90")
"""Of these a network loses little on most pictures; where nobody evaluated them, they stand for sending the picture."""
ROUND_TRIP_S = Seconds(value=0.5e-3, low=0.2e-3, high=2e-3)
"""Threads, gRPC and two kernels, where a table has not measured them: what PCs take."""
FITTED = "shrunk to the network's input first: the source has to give frames of that size, `isthmus run` does not shrink them"
UNMEASURED_TRIP = "round trip without a link not measured: 0.5 ms assumed"
NOTHING_S = Seconds(value=0.0, low=0.0, high=0.0)


def candidates(bundle: Bundle, figures: Figures, sides: Sides) -> list[Candidate]:
    """Every candidate: the device alone, pictures, operating points, and the cuts of the unsplit network.

    Raises:
        ConfigError: figures or costs lack a part that the bundle has.
        NotBuiltYet: the bundle is a language model.
    """
    if bundle.manifest.kind != "vision":
        raise NotBuiltYet(f"{bundle.origin} is a {bundle.manifest.kind} bundle; this version plans vision bundles")
    found = [
        *_local(bundle, figures, sides),
        *_pictures(bundle, figures, sides),
        *_points(bundle, figures, sides),
        *_cuts(figures, sides),
    ]
    if not found:
        raise ConfigError(f"the costs of {bundle.origin} hold nothing to plan with; measure again with --profile")
    return found


def _local(bundle: Bundle, figures: Figures, sides: Sides) -> Iterator[Candidate]:
    prepare = _stage(sides.device, "prepare")
    # What is timed as `local` is the network that the agent runs.
    preferred = next((name for name in ("local.onnx", "whole.onnx") if bundle.has(name)), None)
    for file in ("local.onnx", "whole.onnx"):
        name = file.removesuffix(".onnx")
        if bundle.has(file) and name in figures.local:
            is_timed = file == preferred and "local" in sides.device.stages
            head = sides.device.stages["local"] if is_timed else _network(sides.device, file)
            metric = figures.local[name].metric
            yield Candidate(placement="local", setting=name, metric=metric, device={"prepare": prepare, "head": head})


def _pictures(bundle: Bundle, figures: Figures, sides: Sides) -> Iterator[Candidate]:
    if not bundle.has("whole.onnx"):
        return
    for setting, metric, size_bytes, marks in _picture_settings(figures, sides):
        encode, decode = (sides_of.stages.get(f"{what} {setting}") for sides_of, what in _coded(sides))
        if encode is None or decode is None:
            continue
        server = _server(sides.server, "offload", decode, "whole.onnx")
        if "@" in setting:
            marks = (*marks, FITTED)
        yield _sending("offload", setting, sides, metric, size_bytes, {"encode": encode}, server, marks=marks)


def _picture_settings(figures: Figures, sides: Sides) -> Iterator[tuple[str, Metric, float, tuple[str, ...]]]:
    """Settings that were evaluated, else some that were timed."""
    for setting, worth in figures.pictures.items():
        yield setting, worth.metric, worth.bytes_mean, ()
    if not figures.pictures:
        for setting, size_bytes in sides.device.payload_bytes.items():
            if setting.partition("@")[0] in ASSUMED_PICTURES:
                yield setting, figures.unsplit, size_bytes.mean, (ASSUMED,)


def _coded(sides: Sides) -> tuple[tuple[CostTable, str], tuple[CostTable, str]]:
    return (sides.device, "encode"), (sides.server, "server decode")


def _points(bundle: Bundle, figures: Figures, sides: Sides) -> Iterator[Candidate]:
    for point in bundle.manifest.points:
        worth = figures.points.get(point.name)
        if worth is None:
            raise ConfigError(f"the figures have no operating point {point.name}; evaluate {bundle.origin} again")
        device = {"prepare": _stage(sides.device, "prepare"), "head": _stage(sides.device, "head")}
        device["encode"] = _stage(sides.device, f"encode {point.name}")
        server = _server(sides.server, "split", _stage(sides.server, f"server decode {point.name}"), "tail.onnx")
        yield _sending("split", point.name, sides, worth.metric, worth.bytes_mean, device, server, point=point.name)


def _cuts(figures: Figures, sides: Sides) -> Iterator[Candidate]:
    after = {cut.index: cut.after for cut in sides.server.cuts}
    for cut in sides.device.cuts:
        if cut.bytes is None or cut.index not in after:
            continue
        device = {"prepare": _stage(sides.device, "prepare"), "head": cut.before}
        server = {"compute": after[cut.index]}
        marks = (NO_BOTTLENECK,)
        yield _sending("split", f"cut {cut.index}", sides, figures.unsplit, float(cut.bytes), device, server, marks=marks)


def _sending(
    placement: str,
    setting: str,
    sides: Sides,
    metric: Metric,
    payload_bytes: float,
    device: dict[str, Seconds],
    server: dict[str, Seconds],
    *,
    point: str | None = None,
    marks: tuple[str, ...] = (),
) -> Candidate:
    measured = _round_trip(sides, placement)
    return Candidate(
        placement="offload" if placement == "offload" else "split",
        setting=setting,
        point=point,
        metric=metric,
        payload_bytes=payload_bytes,
        usual_bytes=payload_bytes * _skew(sides.device, setting),
        device=device,
        server=server,
        round_trip=measured or ROUND_TRIP_S,
        marks=marks if measured else (*marks, UNMEASURED_TRIP),
    )


def _skew(table: CostTable, setting: str) -> float:
    """Median over mean of a payload: a few large pictures move the mean and not the median frame."""
    found = table.payload_bytes.get(setting)
    return found.median / found.mean if found is not None and found.mean else 1.0


def _round_trip(sides: Sides, placement: str) -> Seconds | None:
    """Half of it is the device's, half the server's: both have threads, gRPC and a kernel."""
    name = f"round trip {placement}"
    ends = [table.stages.get(name) for table in (sides.device, sides.server)]
    known = [end for end in ends if end is not None]
    return together(_part(end, 1 / len(known)) for end in known) if known else None


def _part(whole: Seconds, share: float) -> Seconds:
    return Seconds(value=whole.value * share, low=whole.low * share, high=whole.high * share)


def _server(table: CostTable, placement: str, decode: Seconds, file: str) -> dict[str, Seconds]:
    """Stages as a served frame has them, or the network alone where no server was measured."""
    served = table.stages.get(f"server compute {placement}")
    own_queue = table.stages.get(f"server queue {placement}", NOTHING_S)
    post = table.stages.get(f"server post {placement}", NOTHING_S)
    return {"handing over": own_queue, "decode": decode, "compute": served or _network(table, file), "post": post}


def _stage(table: CostTable, name: str) -> Seconds:
    found = table.stages.get(name)
    if found is None:
        raise ConfigError(f"the costs of {table.bundle} have no stage {name!r}; measure again with `isthmus bench --profile`")
    return found


def _network(table: CostTable, file: str) -> Seconds:
    found = table.networks.get(file)
    if found is None:
        raise ConfigError(f"the costs of {table.bundle} have no {file}; measure again with `isthmus bench --profile`")
    return found.total
