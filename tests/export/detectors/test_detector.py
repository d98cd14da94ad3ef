import dataclasses

import numpy as np
import onnx_ir as ir
import pytest

from isthmus.contract import detection
from isthmus.contract.prepare import prepare
from isthmus.errors import ExportError
from isthmus.export import preprocessing
from isthmus.export.cutting import cuts
from isthmus.export.cutting.split import split
from isthmus.export.detectors.detector import FAMILIES
from isthmus.export.detectors.recognition import recognise
from isthmus.export.doors.opening import open_model
from isthmus.export.graph.flow import name_of
from isthmus.export.graph.session import Session


@pytest.fixture(scope="module")
def squares(tiny_detector):
    return open_model(str(tiny_detector))


@pytest.fixture(scope="module")
def detector(squares):
    return recognise(squares, names=("red", "blue"))


@pytest.fixture(scope="module")
def picture(make_scene):
    """Prepared as the detector wants it, float32[1, 3, 64, 64]: a red square at (1, 0) and a blue one at (5, 2)."""
    preparation = preprocessing.PRESETS["yolox"].model_copy(update={"width": 64, "height": 64})
    return prepare(make_scene(("red", 1, 0), ("blue", 5, 2)), preparation)


def test_every_family_has_its_preparation():
    assert {family.preset for family in FAMILIES.values()} <= set(preprocessing.PRESETS)
    assert all(name == family.name for name, family in FAMILIES.items())


def test_the_boxes_of_a_network_are_decoded_behind_it(squares, detector, picture):
    with_boxes = detector.with_boxes(squares.model)
    found = detection.read(Session(with_boxes).run({"picture": picture})).above(0.5)
    assert sorted(zip(found.classes.tolist(), found.boxes.round(2).tolist(), strict=True)) == [
        (0, [8, 16, 16, 24]),
        (1, [40, 32, 48, 40]),
    ]
    assert [name_of(value) for value in squares.model.graph.outputs] == ["raw"]


def test_half_a_network_gets_the_same_boxes(squares, detector, picture):
    halves = split(squares.model, cuts.find(cuts.enumerate(squares.model), "mixed"))
    tail = Session(detector.with_boxes(halves.tail))
    answer = tail.run(Session(halves.head).run({"picture": picture}))
    wanted = Session(detector.with_boxes(squares.model)).run({"picture": picture})
    assert all(np.array_equal(answer[name], wanted[name]) for name in wanted)


def test_a_network_of_one_picture_at_a_time_stays_one(squares, detector):
    fixed = squares.model.clone()
    fixed.graph.inputs[0].shape = ir.Shape([1, 3, 64, 64])
    fixed.graph.outputs[0].shape = ir.Shape([1, 84, 7])
    assert [list(value.shape) for value in detector.with_boxes(fixed).graph.outputs] == [[1, 84, 4], [1, 84], [1, 84]]


def test_outputs_that_hold_no_boxes_and_what_only_they_need_are_left_out(squares, detector):
    more = squares.model.clone()
    extra = ir.node("Neg", [more.graph.outputs[0]], name="extra")
    extra.outputs[0].name = "extra"
    more.graph.append(extra)
    more.graph.outputs.append(extra.outputs[0])
    clean, cluttered = (detector.with_boxes(model) for model in (squares.model, more))
    assert [name_of(value) for value in cluttered.graph.outputs] == ["boxes", "scores", "classes"]
    assert len(cluttered.graph) == len(clean.graph)


def test_names_of_the_network_do_not_clash_with_those_of_the_boxes(squares, detector, picture):
    renamed = squares.model.clone()
    for node in renamed.graph:
        for value in node.outputs:
            value.name = {"means": "boxes", "raw": "scores", "mixed": "classes"}.get(value.name, value.name)
    answer = Session(dataclasses.replace(detector, outputs=("scores",)).with_boxes(renamed)).run({"picture": picture})
    assert len(detection.read(answer).above(0.5)) == 2


def test_a_network_without_the_output_is_refused(squares, detector):
    with pytest.raises(ExportError, match="no output 'other' to decode; it has raw"):
        dataclasses.replace(detector, outputs=("other",)).with_boxes(squares.model)


def test_the_manifest_says_how_boxes_were_made(detector):
    task = detector.task()
    assert (task.kind, task.labels) == ("detection", ("red", "blue"))
    assert task.boxes.model_dump() == {"family": "yolox", "score_floor": 0.01, "score_min": 0.3, "overlap_max": 0.45}
