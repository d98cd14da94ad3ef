"""The exporter: a model in, a verified bundle out.

door -> cuts -> split -> bottleneck (none or learned) -> gates -> golden frames -> evaluation -> bundle, in this order; nothing is
written before every gate has passed.
"""

import datetime
import json
import platform
import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx_ir as ir
import onnxruntime

import isthmus
from isthmus.contract.bundle import SUFFIX, Bundle, check_target, write_bundle
from isthmus.contract.manifest import Cut as CutRecord
from isthmus.contract.manifest import Gate, Manifest, Port, Side, Task, Training
from isthmus.contract.prepare import Preparation
from isthmus.contract.tensor import DATATYPES
from isthmus.errors import ExportError, UsageError
from isthmus.export import cost, cuts, gates, preprocessing, samples
from isthmus.export.cuts import Cut
from isthmus.export.distill import DistillSettings, Learned, Progress, learn
from isthmus.export.doors import Source, open_model
from isthmus.export.evaluate import as_results, class_count, evaluate
from isthmus.export.graph import name_of
from isthmus.export.halves import CodedHalves, quantised, replaced
from isthmus.export.samples import Samples, prepared
from isthmus.export.split import Halves, split

GOLDEN_FRAMES = 4
GATE_PICTURES = 16
HELD_OUT_SHARE = 0.1
"""Pictures that training never sees: for the gates, the golden frames and the figures in `evaluation.json`."""
HELD_OUT_MAX = 500
ONNXRUNTIME_MIN = "1.17"
"""First release that reads opset 17 to 20 on every 64-bit ARM board of the profiles."""
CHANGED_CODES_FLOOR = 0.001
"""0.1% of codes by one step is normal across instruction sets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportSettings:
    """What to make.

    Attributes:
        cut: selector, see `export.cuts`.
        bottleneck: `none` puts a quantiser at the cut; `learned` trains an encoder that replaces what is before it.
        channels: of the codes of a learned bottleneck.
        bits: of a code.
        data: image folder or npz for calibration and training.
        preprocess: name of a preset of `export.preprocessing`; None chooses by the network's input.
        distill: recipe of the training.
        resume: go on from the checkpoint beside the output.
        version: of the bundle.
        licence: of the network, in words.
    """

    cut: str = "auto"
    bottleneck: Literal["none", "learned"] = "learned"
    channels: int = 8
    bits: int = 4
    data: Path | None = None
    preprocess: str | None = None
    distill: DistillSettings = field(default_factory=DistillSettings)
    resume: bool = False
    version: str = "1"
    licence: str = ""


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
    preparation = preprocessing.choose(settings.preprocess, source.model)
    cut = cuts.find(cuts.enumerate(source.model), settings.cut)
    halves = split(source.model, cut)
    on_step(f"cut at {', '.join(cut.tensors)}: {cut.flops_share:.0%} of the FLOPs before it")
    data, held_out = _read(settings, preparation)
    pictures = prepared(held_out.pictures[:GATE_PICTURES], preparation)
    passed = [gates.same_as_torch(source, pictures), gates.same_after_split(source, halves, pictures)]
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
    on_step("checking the gates")
    passed.append(gates.same_when_quantised(coded, pictures))
    manifest = _manifest(source, cut, halves, coded, learned, data, preparation, settings, [g for g in passed if g], pictures)
    bundle = _write(output, manifest, source, coded, pictures[:GOLDEN_FRAMES], held_out, on_step)
    if learned is not None and not learned.interrupted:
        _checkpoint(output).unlink(missing_ok=True)
    return Exported(bundle=bundle, cut=cut, learned=learned)


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


def _manifest(
    source: Source,
    cut: Cut,
    halves: Halves,
    coded: CodedHalves,
    learned: Learned | None,
    data: Samples,
    preparation: Preparation,
    settings: ExportSettings,
    passed: list[Gate],
    pictures: np.ndarray,
) -> Manifest:
    given = source.model.graph.inputs[0]
    changed = gates.changed_by_order(coded, pictures)
    return Manifest(
        id=_identifier(source.name),
        version=settings.version,
        files={},
        opset=coded.head.opset_imports[""],
        onnxruntime_min=ONNXRUNTIME_MIN,
        input=_port(given),
        preparation=preparation,
        outputs=tuple(_port(value) for value in source.model.graph.outputs),
        boundary=coded.boundary,
        bottleneck=settings.bottleneck,
        points=(gates.full_point(coded),),
        cut=CutRecord(tensors=cut.tensors, operator=cut.operator, flops_share=cut.flops_share, replaces_head=learned is not None),
        head=_side(coded.head),
        tail=_side(coded.tail),
        whole=_side(source.model),
        task=_task(source, data),
        changed_code_share_max=max(CHANGED_CODES_FLOOR, 4 * changed),
        gates=tuple(passed),
        training=_training(learned, data, settings),
        source=source.reference,
        licence=settings.licence,
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        writer=f"isthmus {isthmus.__version__}, onnxruntime {onnxruntime.__version__}, {platform.machine()}",
    )


def _training(learned: Learned | None, data: Samples, settings: ExportSettings) -> Training | None:
    if learned is None:
        return None
    stages: tuple[dict[str, Any], ...] = ({"steps": learned.steps, "interrupted": learned.interrupted}, *learned.losses)
    return Training(
        recipe="isthmus",
        seed=settings.distill.seed,
        stages=stages,
        data=data.origin,
        samples=len(data),
        wall_s=round(learned.wall_s, 1),
    )


def _task(source: Source, data: Samples) -> Task:
    """A classifier is told by its one output of as many scores as there are class folders."""
    outputs = source.model.graph.outputs
    classes = class_count(_port(outputs[0]))
    if len(outputs) == 1 and classes > 1:
        return Task(kind="classification", labels=data.names if len(data.names) == classes else ())
    return Task()


def _identifier(name: str) -> str:
    """A bundle's id, which the manifest limits to plain letters and 128 of them."""
    cleaned = re.sub(r"[^A-Za-z0-9._-]", "-", name)
    return (cleaned if cleaned[:1].isalnum() else f"model-{cleaned}")[:128]


def _port(value: ir.Value) -> Port:
    if value.dtype is None or value.shape is None:
        raise ExportError(f"{name_of(value)} has no known type or shape")
    dtype = value.dtype.numpy().newbyteorder("<")
    named = [name for name, known in DATATYPES.items() if known == dtype]
    if not named:
        raise ExportError(f"{name_of(value)} is {value.dtype}, which cannot be sent; known: {', '.join(DATATYPES)}")
    return Port(
        name=name_of(value), datatype=named[0], shape=tuple(size if isinstance(size, int) else None for size in value.shape)
    )


def _side(model: ir.Model) -> Side:
    found = cost.of_graph(model.graph)
    return Side(flops=found.flops, parameters=found.parameters)


def _write(
    output: Path,
    manifest: Manifest,
    source: Source,
    coded: CodedHalves,
    pictures: np.ndarray,
    held_out: Samples,
    on_step: Callable[[str], None],
) -> Bundle:
    """Write a draft, measure it, and write the bundle with what was measured."""
    with tempfile.TemporaryDirectory(prefix="isthmus-export-") as temporary:
        folder = Path(temporary) / "files"
        folder.mkdir()
        for name, model in (("head.onnx", coded.head), ("tail.onnx", coded.tail), ("whole.onnx", source.model)):
            ir.save(model, folder / name)
        np.savez(folder / "golden.npz", **gates.golden_frames(coded, manifest.points, pictures).arrays())  # type: ignore[arg-type]
        files = {path.name: path for path in folder.iterdir()}
        draft = write_bundle(Path(temporary) / "draft", manifest, files)
        if held_out.classes(manifest.task.labels, class_count(manifest.outputs[0])) is None:
            held_out = replace(held_out, labels=None)  # classes of another network: agreement can be measured, accuracy cannot
        on_step(f"measuring on {len(held_out)} pictures that training did not see")
        rows = evaluate(draft, held_out, rivals=("local",))
        sizes = {row.name: row.bytes_mean for row in rows if row.kind == "point"}
        points = tuple(point.model_copy(update={"bytes_mean": sizes[point.name]}) for point in manifest.points)
        results = as_results(draft, held_out, rows, "isthmus export (pictures held out of training)")
        (folder / "evaluation.json").write_text(json.dumps(results, indent=2), encoding="utf-8")
        on_step(f"writing {output}")
        return write_bundle(
            output, manifest.model_copy(update={"points": points}), {**files, "evaluation.json": folder / "evaluation.json"}
        )
