"""`local.onnx`: the network with which the device answers alone when no server does in time.

`whole` is the unsplit network as it is, `int8` the same in int8, where the device computes that faster; a file is another
network, smaller as a rule, that takes the same input and gives outputs of the same shapes.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import onnx_ir as ir

from isthmus.contract.manifest import LocalNetwork, Task
from isthmus.contract.prepare import Preparation, prepare
from isthmus.devices.golden import difference_max, output_difference
from isthmus.errors import ExportError, UsageError
from isthmus.export.bottlenecks.halves import one_by_one
from isthmus.export.detectors.detector import Detector
from isthmus.export.detectors.recognition import recognise
from isthmus.export.doors.opening import Source, open_model
from isthmus.export.graph.cost import Cost, of_graph
from isthmus.export.graph.ports import called_alike
from isthmus.export.graph.session import Session
from isthmus.export.int8 import qdq
from isthmus.export.int8.attempt import CALIBRATION_PICTURES
from isthmus.export.samples import Samples

Choice = Literal["whole", "int8"] | Path

INT8_ERROR_FLOOR = 0.05
"""Integer sums are the same everywhere, but each layer rounds its own result and passes a difference on."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Standalone:
    """What goes into the bundle.

    Attributes:
        model: picture -> the outputs of the unsplit network; a detector's with its boxes decoded.
        kind: as in the manifest.
        costs: of one picture; those of the floats for a network in int8, which computes the same.
    """

    model: ir.Model
    kind: Literal["whole", "int8", "own"]
    costs: Cost

    def outputs(self, pictures: np.ndarray) -> dict[str, np.ndarray]:
        """By name [n, ...], computed one picture at a time as the device does."""
        return one_by_one(Session(self.model), pictures)

    def record(self, pictures: np.ndarray, task: Task) -> LocalNetwork:
        """For the manifest; how far another machine may be off is learned from summing in another order."""
        other = one_by_one(Session(self.model, threads=2), pictures)
        found = output_difference(task, other, self.outputs(pictures))
        floor = max(difference_max(task), INT8_ERROR_FLOOR if qdq.is_quantised(self.model) else 0.0)
        return LocalNetwork(
            kind=self.kind,
            flops=self.costs.flops,
            parameters=self.costs.parameters,
            output_error_max=max(floor, 4 * found),
        )


def make(
    choice: Choice,
    source: Source,
    detector: Detector | None,
    preparation: Preparation,
    samples: Samples,
    *,
    on_step: Callable[[str], None] = lambda _words: None,
) -> Standalone:
    """Make the network that was asked for.

    Args:
        choice: see the head of this module.
        source: the unsplit network; a detector without its boxes.
        detector: what it was recognised as; None for other networks.
        preparation: how a picture becomes its input.
        samples: pictures to calibrate int8 on.
        on_step: told in words what is being done.

    Raises:
        UsageError: the file cannot be opened.
        ExportError: the network cannot be quantised, or the file's has another input or other outputs.
    """
    if isinstance(choice, Path):
        on_step(f"opening {choice} for the device alone")
        own = _own(choice, source, detector)
        return Standalone(model=own, kind="own", costs=of_graph(own.graph))
    if choice == "int8":
        on_step("making the unsplit network in int8 for the device alone")
        model = _int8(source.model, preparation, samples)
    else:
        model = source.model
    with_boxes = model if detector is None else detector.with_boxes(model)
    return Standalone(model=with_boxes, kind=choice, costs=of_graph(source.model.graph))


def _int8(model: ir.Model, preparation: Preparation, samples: Samples) -> ir.Model:
    if qdq.is_quantised(model):
        raise ExportError("--local int8: the network came in quantised; give --local whole")
    few = samples.pictures[:: max(1, len(samples) // CALIBRATION_PICTURES)][:CALIBRATION_PICTURES]
    try:
        plan = qdq.plan(model, (prepare(picture, preparation) for picture in few))
        return qdq.applied(plan, None, "uint8")
    except ExportError as error:
        raise ExportError(f"--local int8: {error}; give --local whole") from error


def _own(path: Path, source: Source, detector: Detector | None) -> ir.Model:
    """The network of a file, its ports called as those of the unsplit network."""
    if path.suffix.lower() != ".onnx":
        raise UsageError(f"--local {path}: whole, int8 or an .onnx file is needed")
    own = open_model(str(path))
    model, wanted = own.model, source.model
    if detector is not None:
        found = recognise(own, detector.family.name, names=detector.labels, score_min=detector.score_min)
        if found is None or found.classes != detector.classes:
            classes = 0 if found is None else found.classes
            raise ExportError(f"--local {path} tells {classes} classes apart, the network {detector.classes}; they must agree")
        model, wanted = found.with_boxes(model), detector.with_boxes(wanted)
    return called_alike(model, wanted, who=f"--local {path}")
