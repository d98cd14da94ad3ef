"""The exporter: a model in, a verified bundle out.

door -> cuts -> split -> bottleneck (none, pca, learned or your own) -> codec tables -> gates -> golden frames -> evaluation
-> bundle, in this order; nothing is written before every gate has passed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx_ir as ir

from isthmus.contract.bundle import SUFFIX, Bundle
from isthmus.contract.bundle_writing import check_target
from isthmus.contract.manifest import Gate
from isthmus.contract.prepare import Preparation
from isthmus.errors import ExportError, UsageError
from isthmus.export import gates, preprocessing, samples, standalone, tables, writing
from isthmus.export.bottlenecks import activations, pca, plain, points
from isthmus.export.bottlenecks.bottleneck import Bottleneck, from_modules
from isthmus.export.bottlenecks.halves import CodedHalves, assembled
from isthmus.export.cutting import costed, cuts
from isthmus.export.cutting.cuts import Cut
from isthmus.export.cutting.split import Halves, split
from isthmus.export.detectors.detector import Detector
from isthmus.export.detectors.recognition import recognise
from isthmus.export.doors.opening import Source, open_model
from isthmus.export.graph.ports import called_alike
from isthmus.export.int8 import attempt as int8
from isthmus.export.int8 import ranges
from isthmus.export.int8.attempt import Candidate
from isthmus.export.record import Making, named
from isthmus.export.samples import Samples, prepared
from isthmus.export.settings import ExportSettings
from isthmus.export.targets import tensorrt
from isthmus.export.training import crew as crews
from isthmus.export.training import tail_weights
from isthmus.export.training.distill import Learned, Progress, learn

__all__ = ["ExportSettings", "Exported", "export"]

GATE_PICTURES = 16
HELD_OUT_SHARE = 0.1
"""Pictures that training never sees: for the gates, the golden frames and the figures in `evaluation.json`."""
HELD_OUT_MAX = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What came of it."""

    bundle: Bundle
    cut: Cut
    learned: Learned | None


def export(
    reference: str,
    output: Path,
    settings: ExportSettings,
    *,
    on_step: Callable[[str], None] = lambda _words: None,
    on_progress: Callable[[Progress], None] = lambda _progress: None,
) -> Exported:
    """Make a bundle.

    Args:
        reference: see `export.doors.opening`.
        output: bundle to write, a zip if it ends with `.isthmus`, else a folder.
        settings: what to make.
        on_step: told in words what is being done.
        on_progress: called after every training step.

    Raises:
        UsageError, ExportError: the model, the cut, the data or a gate; one line says which and why. Nothing is written then.
        BundleError: the output cannot be written.
    """
    check_target(output)
    opened = _opened(reference, settings, on_step)
    data, held_out = _read(settings, opened.preparation)
    pictures = prepared(held_out.pictures[:GATE_PICTURES], opened.preparation)
    passed = [
        gates.same_as_torch(opened.source, pictures),
        opened.formed,
        gates.same_after_split(opened.source, opened.halves, pictures),
    ]
    bottlenecks, learned = _bottlenecks(opened, data, settings, output, on_step, on_progress)
    coded = assembled(_with_trained_tail(opened.halves, learned), bottlenecks)
    if learned is not None:
        passed.append(gates.same_codes_as_torch(learned, coded, pictures))
    if learned is not None and learned.tail is not None:
        passed.append(gates.same_answers_as_torch(learned, coded, pictures))
    coded, candidate = _with_int8(coded, data, opened.preparation, pictures, settings, on_step)
    codec_tables = tables.learned(coded, points.of(bottlenecks), data, opened.preparation, on_step=on_step)
    local = None
    if settings.local is not None:
        local = standalone.make(settings.local, opened.source, opened.detector, opened.preparation, data, on_step=on_step)
    on_step("checking the gates")
    passed.append(gates.same_when_quantised(coded, pictures, codec_tables))
    source = opened.source
    if opened.detector is not None:
        source, coded = opened.detector.attach(source, coded)
        passed.append(gates.same_boxes_in_a_batch(source, pictures))
    if settings.runtime == "tensorrt":
        passed.append(tensorrt.check({"head.onnx": coded.head, "tail.onnx": coded.tail}))
    made = Making(
        settings=settings,
        source=source,
        detector=opened.detector,
        preparation=opened.preparation,
        cut=opened.cut,
        bottlenecks=tuple(bottlenecks),
        coded=coded,
        int8=candidate,
        local=local,
        tables=codec_tables,
        learned=learned,
        data=data,
        held_out=held_out,
        frames=pictures,
        gates=tuple(gate for gate in passed if gate is not None),
    )
    bundle = writing.write(output, made, on_step)
    _tell_target(settings, bundle, learned, on_step)
    if learned is not None and not learned.interrupted:
        _checkpoint(output).unlink(missing_ok=True)
    return Exported(bundle=bundle, cut=opened.cut, learned=learned)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Opened:
    """A model that has come in and been cut; nothing has been computed on pictures yet."""

    source: Source
    detector: Detector | None
    preparation: Preparation
    cut: Cut
    halves: Halves
    formed: Gate


def _opened(reference: str, settings: ExportSettings, on_step: Callable[[str], None]) -> _Opened:
    """Through the door and to the cut."""
    on_step(f"opening {reference}")
    source = open_model(reference)
    detector = recognise(source, settings.detector, names=settings.labels, score_min=settings.score_min, on_hint=on_step)
    if detector is None:
        source = named(source, settings.labels, on_hint=on_step)
    suggested = source.preparation or (None if detector is None else preprocessing.PRESETS[detector.family.preset])
    preparation = preprocessing.choose(settings.preprocess, source.model, suggested=suggested)
    found = cuts.enumerate(source.model)
    cut = costed.choose(found, settings.cut, settings.costs, model=source.model, codes=settings, on_step=on_step)
    halves = split(source.model, cut)
    _check_crossing(halves, cut, found)
    formed = gates.well_formed(source, halves)
    if settings.runtime == "tensorrt":
        _check_for_tensorrt(halves, replaces_head=settings.bottleneck == "learned")
    on_step(f"cut at {', '.join(cut.tensors)}: {cut.flops_share:.0%} of the FLOPs before it")
    return _Opened(source=source, detector=detector, preparation=preparation, cut=cut, halves=halves, formed=formed)


def _bottlenecks(
    opened: _Opened,
    data: Samples,
    settings: ExportSettings,
    output: Path,
    on_step: Callable[[str], None],
    on_progress: Callable[[Progress], None],
) -> tuple[Sequence[Bottleneck], Learned | None]:
    """What stands around the codes, and how it was trained if it was."""
    if settings.bottleneck != "learned":
        on_step(f"calibrating {settings.code_bits}-bit codes on {len(data)} pictures")
        return _untrained(opened.halves, data, opened.preparation, settings), None
    teachers = [_teacher(reference, opened.source, on_step) for reference in settings.training.teachers]
    learned = _learn(opened.halves, data, opened.preparation, settings, teachers, output, on_step, on_progress)
    made = from_modules(opened.halves, learned.encoder, learned.decoder, bits=settings.code_bits, replaces_head=True)
    return [replace(made, is_nested=settings.training.resolved.nested)], learned


def _with_trained_tail(halves: Halves, learned: Learned | None) -> Halves:
    """The halves with the weights that training gave the tail; the source network stays what it was."""
    if learned is None or learned.tail is None:
        return halves
    trained = tail_weights.trainable(halves.tail)
    weights = {name: array for name, array in learned.tail.weights().items() if name in trained}
    return replace(halves, tail=tail_weights.written(halves.tail, weights))


def _with_int8(
    coded: CodedHalves,
    data: Samples,
    preparation: Preparation,
    pictures: np.ndarray,
    settings: ExportSettings,
    on_step: Callable[[str], None],
) -> tuple[CodedHalves, Candidate | None]:
    """Both halves as they are shipped, and what came of an int8 head, in operators that the runtime takes."""
    for_tensorrt = settings.runtime == "tensorrt"
    kinds = ranges.SYMMETRIC if for_tensorrt else ranges.KINDS
    candidate = int8.attempt(coded, data, preparation, pictures, settings.int8, kinds=kinds, on_step=on_step)
    if not for_tensorrt:
        return coded, candidate
    coded = replace(coded, head=tensorrt.adapted(coded.head), tail=tensorrt.adapted(coded.tail))
    return coded, _for_tensorrt(candidate, is_wanted=settings.int8 == "on")


def _check_crossing(halves: Halves, cut: Cut, found: Sequence[Cut]) -> None:
    """Refuse what no bottleneck takes, before anything is computed, and name the nearest cut that is taken."""
    try:
        activations.layouts(halves)
    except ExportError as refusal:
        taken = [other for other in found if other.is_single and other.is_float and other.bytes is not None and other is not cut]
        if not taken:
            raise
        nearest = min(taken, key=lambda other: abs(other.index - cut.index))
        raise ExportError(f"{refusal}, as --cut {nearest.tensors[0]}") from refusal


def _untrained(halves: Halves, data: Samples, preparation: Preparation, settings: ExportSettings) -> Sequence[Bottleneck]:
    if callable(settings.bottleneck):
        return settings.bottleneck(halves, data, preparation)
    if settings.bottleneck == "pca":
        return pca.projected(halves, data, preparation, channels=settings.code_channels, bits=settings.code_bits)
    return plain.quantised(halves, data, preparation, bits=settings.code_bits)


def _check_for_tensorrt(halves: Halves, *, replaces_head: bool) -> None:
    """Find what TensorRT would refuse before anything is trained."""
    kept = {"tail.onnx": halves.tail} if replaces_head else {"head.onnx": halves.head, "tail.onnx": halves.tail}
    tensorrt.check(kept)


def _for_tensorrt(candidate: Candidate | None, *, is_wanted: bool) -> Candidate | None:
    """An int8 head in operators that TensorRT takes, or none."""
    if candidate is None or candidate.model is None:
        return candidate
    model = tensorrt.adapted(candidate.model)
    found = tensorrt.findings(model)
    if found and is_wanted:
        raise ExportError(f"--int8 on: TensorRT would not take the int8 head: {found[0]}; leave it out")
    return candidate.without(f"TensorRT would not take it: {found[0]}") if found else replace(candidate, model=model)


def _read(settings: ExportSettings, preparation: Preparation) -> tuple[Samples, Samples]:
    """Pictures to work on, and pictures held out."""
    if settings.data is None:
        name = settings.bottleneck_name
        raise UsageError(f"--bottleneck {name} needs pictures to work on; give --data FOLDER or --data FILE.npz")
    everything = samples.read(settings.data, preparation)
    if len(everything) < 2:
        raise ExportError(
            f"{settings.data} holds {len(everything)} picture; at least 2 are needed, and some hundred for a good result"
        )
    return everything.split(min(HELD_OUT_SHARE, HELD_OUT_MAX / len(everything)), seed=settings.training.seed)


def _tell_target(settings: ExportSettings, bundle: Bundle, learned: Learned | None, on_step: Callable[[str], None]) -> None:
    """Say which of the bytes that were asked for have come about."""
    wanted, point = settings.training.target_bytes, bundle.manifest.points[0]
    if wanted is None or learned is None or learned.rate_weight is None or point.bytes_mean is None:
        return
    on_step(
        f"{point.bytes_mean:.0f} bytes for a picture on average, {wanted} were asked for; "
        f"the rate weight became {learned.rate_weight:.3g}"
    )


def _checkpoint(output: Path) -> Path:
    return output.parent / f"{output.name.removesuffix(SUFFIX)}.checkpoint"


def _teacher(reference: str, source: Source, on_step: Callable[[str], None]) -> ir.Model:
    on_step(f"opening {reference} to learn from")
    return called_alike(open_model(reference).model, source.model, who=f"--teacher {reference}")


def _learn(
    halves: Halves,
    data: Samples,
    preparation: Preparation,
    settings: ExportSettings,
    teachers: Sequence[ir.Model],
    output: Path,
    on_step: Callable[[str], None],
    on_progress: Callable[[Progress], None],
) -> Learned:
    checkpoint = _checkpoint(output)
    if settings.resume and not checkpoint.exists():
        on_step(f"there is no checkpoint {checkpoint}; training from the start")
    on_step(
        f"training a bottleneck of {settings.code_channels} channels x {settings.code_bits} bits on {len(data)} pictures by the "
        f"recipe {settings.training.recipe.name}"
    )
    learned = learn(
        halves,
        data,
        preparation,
        channels=settings.code_channels,
        bits=settings.code_bits,
        settings=settings.training,
        teachers=teachers,
        checkpoint=checkpoint,
        resume=settings.resume,
        on_progress=on_progress,
    )
    crews.here().leave()
    return learned
