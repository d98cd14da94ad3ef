"""What a bundle's manifest says of an export."""

import datetime
import platform
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx_ir as ir
import onnxruntime

import isthmus
from isthmus.codec.tables import CodecTables
from isthmus.contract.manifest import Cut as CutRecord
from isthmus.contract.manifest import Gate, Manifest, Port, Side, Task, Training
from isthmus.contract.prepare import Preparation
from isthmus.contract.tensor import DATATYPES
from isthmus.errors import ExportError, UsageError
from isthmus.export import gates
from isthmus.export.bottlenecks import points
from isthmus.export.bottlenecks.bottleneck import Bottleneck
from isthmus.export.bottlenecks.halves import CodedHalves
from isthmus.export.cutting.cuts import Cut
from isthmus.export.detectors.detector import Detector
from isthmus.export.doors.opening import Source
from isthmus.export.graph import cost
from isthmus.export.graph.flow import name_of
from isthmus.export.int8.attempt import Candidate
from isthmus.export.judging import class_count
from isthmus.export.samples import Samples
from isthmus.export.settings import ExportSettings
from isthmus.export.standalone import Standalone
from isthmus.export.training.distill import Learned

ONNXRUNTIME_MIN = "1.17"
"""First release that reads opset 17 to 20 on every 64-bit ARM board of the profiles."""
CHANGED_CODES_FLOOR = 0.001
"""0.1% of codes by one step is normal across instruction sets."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Making:
    """An export that has passed its gates.

    Attributes:
        settings: what was asked for.
        source: the network as it came in; a detector with its boxes decoded.
        detector: what a detector was recognised as; None for other networks.
        preparation: how a picture becomes its input.
        cut: where it was cut.
        bottlenecks: what makes its codes.
        coded: both networks of the bundle.
        int8: what came of an int8 head; None where none was tried.
        local: what the device runs alone; None where nothing was asked for.
        tables: of the codec, by the index of the operating point.
        learned: the trained bottleneck; None where nothing was trained.
        data: pictures that were worked on.
        held_out: pictures that were not.
        frames: float32[n, ...], prepared pictures of the held-out part, for the gates and the golden frames.
        gates: what was checked.
    """

    settings: ExportSettings
    source: Source
    detector: Detector | None
    preparation: Preparation
    cut: Cut
    bottlenecks: tuple[Bottleneck, ...]
    coded: CodedHalves
    int8: Candidate | None
    local: Standalone | None
    tables: CodecTables
    learned: Learned | None
    data: Samples
    held_out: Samples
    frames: np.ndarray
    gates: tuple[Gate, ...]


def manifest(made: Making) -> Manifest:
    """The manifest of an export, without files, digests and what is measured later."""
    model, coded, settings = made.source.model, made.coded, made.settings
    changed = gates.changed_by_order(coded, made.frames)
    task = _task(made.source, made.data) if made.detector is None else made.detector.task()
    return Manifest(
        id=identifier(made.source.name),
        version=settings.version,
        files={},
        opset=coded.head.opset_imports[""],
        onnxruntime_min=ONNXRUNTIME_MIN,
        input=_port(model.graph.inputs[0]),
        preparation=made.preparation,
        outputs=tuple(_port(value) for value in model.graph.outputs),
        boundary=coded.boundary,
        bottleneck=settings.bottleneck_name,
        points=points.of(made.bottlenecks),
        cut=CutRecord(
            tensors=made.cut.tensors,
            operator=made.cut.operator,
            flops_share=made.cut.flops_share,
            replaces_head=coded.replaces_head,
        ),
        head=_side(coded.head),
        tail=_side(coded.tail),
        whole=_side(model),
        task=task,
        changed_code_share_max=max(CHANGED_CODES_FLOOR, 4 * changed),
        gates=made.gates,
        training=_training(made.learned, made.data, settings),
        int8=None if made.int8 is None else made.int8.record,
        local=None if made.local is None else made.local.record(made.frames, task),
        source=made.source.reference,
        licence=settings.licence,
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        writer=f"isthmus {isthmus.__version__}, onnxruntime {onnxruntime.__version__}, {platform.machine()}",
    )


def _training(learned: Learned | None, data: Samples, settings: ExportSettings) -> Training | None:
    if learned is None:
        return None
    recipe = settings.training.resolved.model_dump(mode="json", exclude_defaults=True)
    made: dict[str, Any] = {"steps": learned.steps, "interrupted": learned.interrupted, "recipe": recipe}
    if settings.training.teachers:
        made["teachers"] = settings.training.teachers
    if learned.rate_weight is not None:
        made |= {"target_bytes": settings.training.target_bytes, "rate_weight": learned.rate_weight}
    stages: tuple[dict[str, Any], ...] = (made, *learned.losses)
    return Training(
        recipe=settings.training.recipe.name,
        seed=settings.training.seed,
        stages=stages,
        data=data.origin,
        samples=len(data),
        wall_s=round(learned.wall_s, 1),
    )


def _task(source: Source, data: Samples) -> Task:
    """A classifier is told by its one output of several scores; without names of its own it takes those of the class folders."""
    classes = _class_scores(source)
    if classes is None:
        return Task()
    known = next((names for names in (source.labels, data.names) if len(names) == classes), ())
    return Task(kind="classification", labels=known)


def named(source: Source, labels: Sequence[str], *, on_hint: Callable[[str], None]) -> Source:
    """A network that is no detector, with the names of its classes: those given, else its own where they fit.

    Raises:
        UsageError: names are given, and there is another number of class scores, or none.
    """
    classes = _class_scores(source)
    if labels and classes is None:
        raise UsageError("--labels names classes, and this network has no class scores and no boxes; leave it out")
    if labels and len(labels) != classes:
        raise UsageError(f"--labels has {len(labels)} names, the network has {classes} class scores; give one name for each")
    if labels:
        return replace(source, labels=tuple(labels))
    if source.labels and len(source.labels) != classes:
        on_hint(f"the model names {len(source.labels)} classes and has {classes or 'no'} class scores; they are left out")
        return replace(source, labels=())
    return source


def _class_scores(source: Source) -> int | None:
    """How many class scores the network has, None where its outputs are something else."""
    outputs = source.model.graph.outputs
    classes = class_count(_port(outputs[0]))
    return classes if len(outputs) == 1 and classes > 1 else None


def identifier(name: str) -> str:
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
