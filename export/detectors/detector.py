"""Detectors: which family a network is of, and the network with its boxes decoded.

A family is told by the shapes of the outputs against the size of the input, and proven by what the network gives on the example
inputs: chances must lie between 0 and 1, decoded places move with their cells.

    fastestdet   [batch, 5 + class, row/16, column/16]
    yolox        [batch, N, 5 + class], N cells at strides 8, 16, 32; with or without its last step, told by the values
    yolov5       [batch, 3 N, 5 + class], decoded; as YOLOv3 and YOLOv7 export too
    yolov8       [batch, 4 + class, N], decoded; as YOLOv9 and YOLO11 export too
    detr         [batch, query, class (+ 1)] and [batch, query, 4]; softmax with a class for nothing, or a sigmoid for each class

The decoding is put behind the whole network after it was cut and checked: cuts never lie in it, and the gates compare what the
network computes, which a difference in the last digit does not turn into another set of boxes.
"""

import dataclasses
from dataclasses import dataclass

import onnx_ir as ir
import onnx_ir.passes.common as passes

from isthmus.contract.manifest import Boxes, Task
from isthmus.errors import ExportError
from isthmus.export.bottlenecks.halves import CodedHalves
from isthmus.export.detectors import decoding, suppression
from isthmus.export.detectors.decoding import Grid, Piece
from isthmus.export.doors.opening import Source
from isthmus.export.graph.flow import name_of
from isthmus.export.graph.merge import merge


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """What all networks of one kind have in common.

    Attributes:
        name: for `--detector`.
        preset: how its pictures are prepared, a key of `preprocessing.PRESETS`.
        overlap_max: of suppression, as the family's own programs have it; None where it needs none.
        score_min: from which score the family's own programs show boxes.
    """

    name: str
    preset: str
    overlap_max: float | None
    score_min: float


FAMILIES = {
    family.name: family
    for family in (
        Family(name="fastestdet", preset="fastestdet", overlap_max=0.45, score_min=0.65),
        Family(name="yolox", preset="yolox", overlap_max=0.45, score_min=0.3),
        Family(name="yolov5", preset="yolo", overlap_max=0.45, score_min=0.25),
        Family(name="yolov8", preset="yolo", overlap_max=0.7, score_min=0.25),
        Family(name="detr", preset="detr", overlap_max=None, score_min=0.5),
    )
}
"""Numbers: FastestDet `test.py`, YOLOX `demo/ONNXRuntime`, YOLOv5 `detect.py`, Ultralytics `predict`, transformers' processors.
YOLOX was trained with the picture in the top left of its letterbox; centred, as `contract.prepare` puts it, the nano network
finds more on COCO photographs (AP50 0.518 against 0.505 on 128 of them)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Detector:
    """What a network was recognised as.

    Attributes:
        family: its kind.
        form: `raw` or `decoded` of a family with cells; `softmax` or `sigmoid` of DETR.
        outputs: names of the network's outputs that hold boxes; for DETR logits, then places.
        classes: how many it tells apart.
        grid: its cells; for DETR without strides, only the size of the input counts.
        places: at which a box may lie.
        labels: names of the classes, or none.
        score_min: from which score boxes are shown.
    """

    family: Family
    form: str
    outputs: tuple[str, ...]
    classes: int
    grid: Grid
    places: int
    labels: tuple[str, ...]
    score_min: float

    def describe(self) -> str:
        """In one line."""
        words = {
            "raw": "without its last step, which is added",
            "decoded": "with its boxes decoded",
            "softmax": "with a class for nothing",
            "sigmoid": "with a chance for each class",
        }[self.form]
        names = f"{self.labels[0]} to {self.labels[-1]}" if self.labels else "without names"
        return (
            f"a detector of the family {self.family.name} {words}: {self.classes} classes ({names}), {self.places} places; "
            "--detector none keeps its outputs as they are"
        )

    def task(self) -> Task:
        """For the manifest."""
        boxes = Boxes(
            family=self.family.name,
            score_floor=suppression.SCORE_FLOOR,
            score_min=self.score_min,
            overlap_max=self.family.overlap_max,
        )
        return Task(kind="detection", labels=self.labels, boxes=boxes)

    def with_boxes(self, model: ir.Model) -> ir.Model:
        """The network with its decoding behind it.

        Args:
            model: the detector, or the tail of it: its outputs are those of the detector. It is not changed.

        Returns:
            A model that gives `boxes`, `scores` and `classes` as `contract.detection` says, and nothing else.

        Raises:
            ExportError: the model lacks an output, or an input of it has the name of a new output.
        """
        clone = model.clone()
        outputs = {name_of(value): value for value in clone.graph.outputs}
        missing = [name for name in self.outputs if name not in outputs]
        if missing:
            raise ExportError(f"the network has no output {missing[0]!r} to decode; it has {', '.join(outputs)}")
        clone.graph.outputs.clear()
        clone.graph.outputs.extend(outputs[name] for name in self.outputs)
        passes.RemoveUnusedNodesPass()(clone)
        ports = dict(zip(("raw", "places_raw"), clone.graph.outputs, strict=False))
        processing = suppression.processing(
            self._piece(),
            ports,
            places=self.places,
            classes=self.classes,
            overlap_max=self.family.overlap_max,
            opset=clone.opset_imports[""],
        )
        return merge(clone, processing, join={name_of(value): port for port, value in ports.items()})

    def _piece(self) -> Piece:
        if self.family.name == "detr":
            softmax = self.form == "softmax"
            size = {"width": self.grid.width, "height": self.grid.height}
            return decoding.detr("raw", "places_raw", self.classes, softmax=softmax, **size)
        if self.family.name == "fastestdet":
            return decoding.fastestdet("raw", self.classes, self.grid)
        if self.form == "raw":
            return decoding.yolox("raw", self.classes, self.grid)
        yolov8 = self.family.name == "yolov8"
        return decoding.centred("raw", self.classes, objectness=not yolov8, channels_first=yolov8)

    def attach(self, source: Source, coded: CodedHalves) -> tuple[Source, CodedHalves]:
        """Whole network and tail with boxes; the head stays as it is."""
        whole = dataclasses.replace(source, model=self.with_boxes(source.model), torch_module=None)
        return whole, dataclasses.replace(coded, tail=self.with_boxes(coded.tail))
