"""Make a filter: film in, a bundle with a filter out.

codes and labels of every frame -> parts -> training -> threshold -> figures -> golden scores -> bundle, in this order. The bundle
is written anew with the filter in it, so it gets another contract digest, and has to be signed anew.
"""

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from isthmus.codec import tables
from isthmus.codec.codec import Codec
from isthmus.contract.binomial import misses_allowed
from isthmus.contract.bundle import UNSIGNED_FILES, Bundle
from isthmus.contract.bundle_writing import check_target, write_bundle
from isthmus.contract.filter import FILTER, FilterRecord
from isthmus.contract.manifest import Gate, Manifest
from isthmus.contract.signature import SIGNATURE_NAME
from isthmus.devices import golden
from isthmus.devices.filtering import FilterNetwork
from isthmus.devices.runtime import Network, relative_error
from isthmus.errors import ExportError
from isthmus.export.filtering import figures, parting, threshold, training
from isthmus.export.filtering.footage import Film, head_of
from isthmus.export.filtering.labels import presence_of
from isthmus.export.filtering.network import FilterModule, to_onnx
from isthmus.export.filtering.parting import Part, Stretch
from isthmus.export.graph import cost, weights

GATE = "filter equals torch"
_SCORE_ERROR_MAX = 1e-3
_SCORED_TOGETHER = 256
_TIMED = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class FilterSettings:
    """How to make a filter.

    Attributes:
        recall_min: share of events that shall pass.
        confidence: with which that is to be shown.
        uncertified: go on where the calibration part has too few events to show it.
        pause_s: so long may an event be interrupted.
        watched: classes of a detector that count; empty: all.
        nothing: classes of a classifier that mean nothing.
        steps: of training.
        seed: of training.
    """

    recall_min: float = 0.99
    confidence: float = 0.95
    uncertified: bool = False
    pause_s: float = 1.0
    watched: tuple[str, ...] = ()
    nothing: tuple[str, ...] = ()
    steps: int = training.STEPS
    seed: int = 0

    def __post_init__(self) -> None:
        for name, value in (("recall", self.recall_min), ("confidence", self.confidence)):
            if not 0 < value < 1:
                raise ExportError(f"the {name} is {value:g}; it has to lie between 0 and 1")


def part_films(
    films: Sequence[Film],
    pause_s: float,
    parts: Sequence[Part] = parting.PARTS,
    shares: Mapping[Part, float] = parting.SHARES,
) -> dict[Part, list[Stretch]]:
    """Cut films in time; with a single part they stay whole.

    Args:
        films: each is cut by itself.
        pause_s: see `FilterSettings`.
        parts: in this order.
        shares: of each in the events.
    """
    made: dict[Part, list[Stretch]] = {part: [] for part in parting.PARTS}
    for film in films:
        for part, stretch in parting.in_time(film, round(pause_s * film.fps), parts, shares).items():
            made[part].append(stretch)
    return made


def make(
    bundle: Bundle,
    output: Path,
    parts: dict[Part, list[Stretch]],
    settings: FilterSettings,
    *,
    labels: str,
    film: Sequence[str],
    parting_words: str,
    on_step: Callable[[str], None] = lambda _words: None,
    on_progress: Callable[[int, int], None] = lambda _step, _steps: None,
) -> Bundle:
    """Train, calibrate, measure, and write a bundle.

    Args:
        bundle: without a filter, or with one that is replaced.
        output: bundle to write, may be the same.
        parts: of the film.
        settings: how.
        labels: where it is known from what is to be seen, in words.
        film: names of the films.
        parting_words: how they were parted.
        on_step: told in words what is being done.
        on_progress: called after every step of training.

    Raises:
        ExportError: a part lacks events or empty frames, or the calibration part has too few events to show the recall.
        BundleError: the output cannot be written.
    """
    check_target(output)
    parting.check(parts, settings.pause_s)
    on_step(", ".join(f"{part}: {_counted(parts[part])}" for part in parting.PARTS))
    calibration = sum(len(one.events) for one in parts["calibration"])
    if not settings.uncertified and misses_allowed(calibration, settings.recall_min, settings.confidence) is None:
        raise ExportError(threshold.too_few(calibration, settings.recall_min, settings.confidence))
    on_step("training the filter")
    module = training.train(
        bundle.manifest.boundary, parts["train"], seed=settings.seed, steps=settings.steps, on_step=on_progress
    )
    with tempfile.TemporaryDirectory(prefix="isthmus-filter-") as temporary:
        folder = Path(temporary)
        draft = _draft(bundle, module, settings, folder, labels=labels, film=film, parting_words=parting_words)
        network = FilterNetwork(draft)
        scores = {part: [scored(network, one) for one in parts[part]] for part in parting.PARTS}
        gate = _same_as_torch(module, parts["calibration"][0], scores["calibration"][0])
        chosen = threshold.choose(
            parts["calibration"],
            scores["calibration"],
            recall_min=settings.recall_min,
            confidence=settings.confidence,
            uncertified=settings.uncertified,
        )
        on_step("measuring")
        codec = Codec(bundle.manifest.boundary, bundle.manifest.points, tables=tables.of_bundle(bundle))
        found = [
            figures.figures(part, parts[part], scores[part], chosen.value, lambda codes: len(codec.encode(codes, point=0)))
            for part in parting.PARTS
        ]
        assert draft.manifest.filter is not None
        record = draft.manifest.filter.model_copy(
            update={
                "threshold": chosen.value,
                "certified": chosen.certified,
                "recall_shown": chosen.recall_shown,
                "missed_frames_max": chosen.missed_frames_max,
                "figures": tuple(found),
                **_times(bundle, network, codec, parts["test"][0]),
            }
        )
        gates = (*(one for one in bundle.manifest.gates if one.name != GATE), gate)
        manifest = draft.manifest.model_copy(update={"filter": record, "gates": gates})
        on_step(f"writing {output}")
        return write_bundle(output, manifest, _files(draft, bundle))


def scored(network: FilterNetwork, stretch: Stretch) -> np.ndarray:
    """Scores of the frames of a stretch, float32[frame]."""
    batches = range(0, len(stretch), _SCORED_TOGETHER)
    made = [network.score([tensor[first : first + _SCORED_TOGETHER] for tensor in stretch.codes]) for first in batches]
    return np.concatenate(made) if made else np.zeros(0, np.float32)


def _counted(stretches: Sequence[Stretch]) -> str:
    return f"{sum(map(len, stretches))} frames, {sum(len(one.events) for one in stretches)} events"


def _draft(
    bundle: Bundle,
    module: FilterModule,
    settings: FilterSettings,
    folder: Path,
    *,
    labels: str,
    film: Sequence[str],
    parting_words: str,
) -> Bundle:
    """The bundle with the network in it, and a record without what is measured."""
    model = to_onnx(module)
    weights.save(model, folder / FILTER)
    costs = cost.of_graph(model.graph)
    record = FilterRecord(
        threshold=0.0,
        head=head_of(bundle),
        recall_min=settings.recall_min,
        confidence=settings.confidence,
        certified=False,
        recall_shown=0.0,
        missed_frames_max=1.0,
        pause_s=settings.pause_s,
        labels=labels,
        film=tuple(film),
        parting=parting_words,
        presence=presence_of(bundle.manifest.task, watched=settings.watched, nothing=settings.nothing),
        flops=costs.flops,
        parameters=costs.parameters,
        seed=settings.seed,
    )
    _add_golden(bundle, Network.load(folder / FILTER), folder / golden.GOLDEN_NAME)
    files = {name: bundle.path(name) for name in bundle.manifest.files}
    files |= {FILTER: folder / FILTER, golden.GOLDEN_NAME: folder / golden.GOLDEN_NAME}
    manifest: Manifest = bundle.manifest.model_copy(update={"filter": record})
    return write_bundle(folder / "draft", manifest, files)


def _add_golden(bundle: Bundle, network: Network, target: Path) -> None:
    """Write the bundle's golden frames with the filter's scores to them."""
    frames = golden.read(bundle)
    names = [tensor.name for tensor in bundle.manifest.boundary.tensors]
    scores = network.run(dict(zip(names, frames.codes, strict=True)))["score"]
    np.savez(target, **replace(frames, scores=tuple(map(float, scores))).arrays())  # type: ignore[arg-type]


def _files(draft: Bundle, bundle: Bundle) -> dict[str, Path]:
    """All files of the new bundle; the old signatures are over another manifest."""
    unsigned = [name for name in UNSIGNED_FILES if name != SIGNATURE_NAME and (bundle.folder / name).is_file()]
    return {name: draft.path(name) for name in draft.manifest.files} | {name: bundle.folder / name for name in unsigned}


def _same_as_torch(module: FilterModule, stretch: Stretch, scores: np.ndarray) -> Gate:
    """The network in the bundle gives what was trained."""
    some = slice(0, _SCORED_TOGETHER)
    with torch.inference_mode():
        wanted = module([torch.from_numpy(tensor[some]) for tensor in stretch.codes]).numpy()
    error = relative_error(scores[some], wanted)
    if not error <= _SCORE_ERROR_MAX:
        raise ExportError(f"the filter's network and its torch module differ by {error:.3g}, at most {_SCORE_ERROR_MAX:g}")
    return Gate(name=GATE, value=error, limit=_SCORE_ERROR_MAX, detail=f"{len(wanted)} frames of the calibration part")


def _times(bundle: Bundle, network: FilterNetwork, codec: Codec, stretch: Stretch) -> dict[str, float]:
    """Median times of one frame here, in microseconds."""
    frames = [[tensor[frame] for tensor in stretch.codes] for frame in range(min(len(stretch), _TIMED))]
    inputs = golden.read(bundle).inputs[:1]
    head = Network.of_bundle(bundle, head_of(bundle))
    name = bundle.manifest.input.name
    return {
        "filter_us": _median_us(lambda codes: network.score([tensor[np.newaxis] for tensor in codes]), frames),
        "head_us": _median_us(lambda _codes: head.run({name: inputs}), frames[:20]),
        "encode_us": _median_us(lambda codes: codec.encode(codes, point=0), frames),
    }


def _median_us(work: Callable[[Sequence[np.ndarray]], object], frames: Sequence[Sequence[np.ndarray]]) -> float:
    spent = []
    for codes in frames:
        started = time.perf_counter()
        work(codes)
        spent.append(time.perf_counter() - started)
    return round(1e6 * float(np.median(spent)), 1)
