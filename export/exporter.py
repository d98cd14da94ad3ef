"""The exporter: a model in, a verified bundle out.

door -> cuts -> split -> bottleneck (none or learned) -> gates -> golden frames -> evaluation -> bundle, in this order; nothing is
written before every gate has passed.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from isthmus.contract.bundle import SUFFIX, Bundle, check_target
from isthmus.contract.prepare import Preparation
from isthmus.errors import ExportError, UsageError
from isthmus.export import cuts, gates, preprocessing, samples, tensorrt, writing
from isthmus.export.cuts import Cut
from isthmus.export.distill import Learned, Progress, learn
from isthmus.export.doors import open_model
from isthmus.export.halves import quantised, replaced
from isthmus.export.recognition import recognise
from isthmus.export.record import Making
from isthmus.export.samples import Samples, prepared
from isthmus.export.settings import ExportSettings
from isthmus.export.split import Halves, split

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
        reference: see `export.doors`.
        output: bundle to write, a zip if it ends with `.isthmus`, else a folder.
        settings: what to make.
        on_step: told in words what is being done.
        on_progress: called after every training step.

    Raises:
        UsageError, ExportError: the model, the cut, the data or a gate; one line says which and why. Nothing is written then.
        BundleError: the output cannot be written.
    """
    check_target(output)
    on_step(f"opening {reference}")
    source = open_model(reference)
    detector = recognise(source, settings.detector, names=settings.labels, score_min=settings.score_min, on_hint=on_step)
    suggested = source.preparation or (None if detector is None else preprocessing.PRESETS[detector.family.preset])
    preparation = preprocessing.choose(settings.preprocess, source.model, suggested=suggested)
    floats_only = settings.bottleneck != "none"
    cut = cuts.find(cuts.enumerate(source.model), settings.cut, model=source.model, floats_only=floats_only)
    halves = split(source.model, cut)
    formed = gates.well_formed(source, halves)
    if settings.runtime == "tensorrt":
        _check_for_tensorrt(halves, replaces_head=settings.bottleneck == "learned")
    on_step(f"cut at {', '.join(cut.tensors)}: {cut.flops_share:.0%} of the FLOPs before it")
    data, held_out = _read(settings, preparation)
    pictures = prepared(held_out.pictures[:GATE_PICTURES], preparation)
    passed = [gates.same_as_torch(source, pictures), formed, gates.same_after_split(source, halves, pictures)]
    learned = None
    if settings.bottleneck == "learned":
        if settings.resume and not _checkpoint(output).exists():
            on_step(f"there is no checkpoint {_checkpoint(output)}; training from the start")
        learned = _learn(halves, data, preparation, settings, _checkpoint(output), on_step, on_progress)
        coded = replaced(halves, learned, preparation)
        passed.append(gates.same_codes_as_torch(learned, coded, pictures))
    else:
        on_step(f"calibrating {settings.bits}-bit codes on {len(data)} pictures")
        coded = quantised(halves, data, preparation, bits=settings.bits)
    if settings.runtime == "tensorrt":
        coded = replace(coded, head=tensorrt.adapted(coded.head), tail=tensorrt.adapted(coded.tail))
    on_step("checking the gates")
    passed.append(gates.same_when_quantised(coded, pictures))
    if detector is not None:
        source, coded = detector.attach(source, coded)
        passed.append(gates.same_boxes_in_a_batch(source, pictures))
    if settings.runtime == "tensorrt":
        passed.append(tensorrt.check({"head.onnx": coded.head, "tail.onnx": coded.tail}))
    made = Making(
        settings=settings,
        source=source,
        detector=detector,
        preparation=preparation,
        cut=cut,
        coded=coded,
        learned=learned,
        data=data,
        held_out=held_out,
        frames=pictures,
        gates=tuple(gate for gate in passed if gate is not None),
    )
    bundle = writing.write(output, made, on_step)
    if learned is not None and not learned.interrupted:
        _checkpoint(output).unlink(missing_ok=True)
    return Exported(bundle=bundle, cut=cut, learned=learned)


def _check_for_tensorrt(halves: Halves, *, replaces_head: bool) -> None:
    """Find what TensorRT would refuse before anything is trained."""
    kept = {"tail.onnx": halves.tail} if replaces_head else {"head.onnx": halves.head, "tail.onnx": halves.tail}
    tensorrt.check(kept)


def _read(settings: ExportSettings, preparation: Preparation) -> tuple[Samples, Samples]:
    """Pictures to work on, and pictures held out."""
    if settings.data is None:
        raise UsageError(f"--bottleneck {settings.bottleneck} needs pictures to work on; give --data FOLDER or --data FILE.npz")
    everything = samples.read(settings.data, preparation)
    if len(everything) < 2:
        raise ExportError(
            f"{settings.data} holds {len(everything)} picture; at least 2 are needed, and some hundred for a good result"
        )
    return everything.split(min(HELD_OUT_SHARE, HELD_OUT_MAX / len(everything)), seed=settings.distill.seed)


def _checkpoint(output: Path) -> Path:
    return output.parent / f"{output.name.removesuffix(SUFFIX)}.checkpoint"


def _learn(
    halves: Halves,
    data: Samples,
    preparation: Preparation,
    settings: ExportSettings,
    checkpoint: Path,
    on_step: Callable[[str], None],
    on_progress: Callable[[Progress], None],
) -> Learned:
    on_step(f"training a bottleneck of {settings.channels} channels x {settings.bits} bits on {len(data)} pictures")
    return learn(
        halves,
        data,
        preparation,
        channels=settings.channels,
        bits=settings.bits,
        settings=settings.distill,
        checkpoint=checkpoint,
        resume=settings.resume,
        on_progress=on_progress,
    )
