"""A detector from its ONNX file to boxes in the pixels of a camera, through the command line and a real server."""

import json
import os
import tarfile
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from typer.testing import CliRunner

from isthmus.bench import programs
from isthmus.cli.main import app
from isthmus.contract.bundle import open_bundle
from isthmus.contract.bundle_writing import write_bundle
from isthmus.contract.detection import Found
from isthmus.contract.overlap import pairs
from isthmus.devices import golden
from isthmus.devices.runtime import Network
from isthmus.errors import BundleError
from isthmus.tail.model import TailModel

runner = CliRunner()
SCENES = [[("red", 1, 0), ("blue", 5, 2)], [("blue", 0, 3), ("blue", 7, 0)], [], [("red", 3, 1)]]


def invoke(*arguments):
    done = runner.invoke(app, [str(argument) for argument in arguments])
    assert done.exit_code == 0, done.stderr
    return done


@pytest.fixture(scope="module")
def scenes(make_scene, tmp_path_factory):
    """A flat folder of pictures without classes: first those of SCENES, then some more."""
    folder = tmp_path_factory.mktemp("scenes")
    random = np.random.default_rng(0)
    more = [[(colour, *random.integers(0, (8, 4))) for colour in ("red", "blue")] for _ in range(20)]
    for index, squares in enumerate([*SCENES, *more]):
        cv2.imwrite(str(folder / f"{index:02d}.png"), make_scene(*squares))
    return folder


@pytest.fixture(scope="module")
def exported(tiny_detector, scenes, tmp_path_factory):
    """What `isthmus export` made of the detector, and what it said."""
    folder = tmp_path_factory.mktemp("exported")
    (folder / "names.txt").write_text("red square\nblue square\n")
    options = ["--bottleneck", "none", "--bits", "8", "--cut", "mixed", "--data", scenes, "--labels", folder / "names.txt"]
    return folder / "squares", invoke("export", tiny_detector, "-o", folder / "squares", *options, "--int8", "off")


@pytest.fixture(scope="module")
def server(exported):
    with programs.server(exported[0]) as running:
        yield running.match["grpc"]


def run(bundle, source, address, *arguments):
    """Records of `isthmus run` in the order of the frames."""
    lines = invoke("run", bundle, "--source", source, "--tail", address, "--sink", "jsonl:-", *arguments).stdout.splitlines()
    return sorted((json.loads(line) for line in lines), key=lambda record: record["sequence"])


def seen(record):
    """(label, box) of everything seen in a frame."""
    return sorted((found["label"], found["box"]) for found in record["detections"])


def painted(squares):
    return sorted((f"{colour} square", [16.0 * x, 16.0 * y, 16.0 * x + 16, 16.0 * y + 16]) for colour, x, y in squares)


def test_export_says_what_it_took_the_network_for(exported):
    bundle, done = exported
    assert "family yolox without its last step" in done.stderr.replace("\n", " ")
    manifest = open_bundle(bundle).manifest
    assert (manifest.task.kind, manifest.task.labels) == ("detection", ("red square", "blue square"))
    assert (manifest.preparation.fit, manifest.preparation.colour, manifest.preparation.scale) == ("letterbox", "bgr", 1.0)
    assert [(port.name, port.shape) for port in manifest.outputs] == [
        ("boxes", (None, 84, 4)),
        ("scores", (None, 84)),
        ("classes", (None, 84)),
    ]
    assert "boxes in a batch equal boxes alone" in [gate.name for gate in manifest.gates]


def test_the_split_is_measured_by_its_boxes(exported):
    results = json.loads((exported[0] / "evaluation.json").read_text())
    assert "F1 of the boxes" in results["meta"]["metric"]
    assert [(row["metric"]["name"], row["metric"]["value"]) for row in results["rows"]] == [("box agreement F1", 1.0)] * 2


def test_evaluate_measures_rivals_too(exported, scenes):
    rows = json.loads(invoke("evaluate", exported[0], "--data", scenes, "--rivals", "webp,local", "--json").stdout)["rows"]
    assert rows[0]["metric"]["value"] == 1.0
    assert rows[0]["bytes_mean"] > 0
    assert {row["metric"]["name"] for row in rows} == {"box agreement F1"}
    assert {row.get("rival") for row in rows} == {None, "local", "webp"}


def test_evaluate_measures_average_precision_where_true_boxes_are_known(exported, scenes):
    names = ["blue square", "red square"]
    boxes = [(place, *one) for place, squares in enumerate(SCENES) for one in squares]
    annotated = {
        "images": [{"id": place, "file_name": f"{place:02d}.png"} for place in range(len(SCENES))],
        "categories": [{"id": index, "name": name} for index, name in enumerate(names)],
        "annotations": [
            {"image_id": place, "category_id": names.index(f"{colour} square"), "bbox": [16 * x, 16 * y, 16, 16]}
            for place, colour, x, y in boxes
        ],
    }
    (scenes / "boxes.json").write_text(json.dumps(annotated))
    command = ["evaluate", exported[0], "--data", scenes / "boxes.json", "--rivals", "local"]
    rows = json.loads(invoke(*command, "--json").stdout)["rows"]
    assert [row["metric"]["name"] for row in rows] == ["AP50", "AP50"]
    assert [row["metric"]["value"] for row in rows] == [pytest.approx(1.0)] * 2
    assert [row["further"][0]["name"] for row in rows] == ["AP", "AP"]
    assert "AP50" in invoke(*command).stdout


@pytest.mark.parametrize("placement", ["split", "offload", "local"])
def test_every_placement_finds_the_squares_where_they_are(exported, server, scenes, placement):
    records = run(exported[0], scenes, server, "--no-gate", "--placement", placement, "--picture", "webp-100")
    for squares, record in zip(SCENES, records[: len(SCENES)], strict=True):
        assert [label for label, _ in seen(record)] == [label for label, _ in painted(squares)]
        assert [box for _, box in seen(record)] == [pytest.approx(box, abs=0.1) for _, box in painted(squares)]


def test_the_video_shows_boxes_where_they_are_and_frames_without_an_answer(exported, server, make_scene, tmp_path):
    source = cv2.VideoWriter(str(tmp_path / "in.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 12.0, (128, 64))
    for column in [1] * 12 + [5] * 3:
        source.write(make_scene(("blue", column, 1)))
    source.release()
    records = run(exported[0], tmp_path / "in.avi", server, "--sink", f"video:{tmp_path}/out.mp4")
    assert (records[0]["placement"], records[11]["placement"], records[-1]["placement"]) == ("split", "drop", "split")
    shown = cv2.VideoCapture(str(tmp_path / "out.mp4"))
    assert (shown.get(cv2.CAP_PROP_FRAME_COUNT), shown.get(cv2.CAP_PROP_FPS)) == (15, 12.0)
    frames = [shown.read()[1] for _ in range(15)]
    shown.release()
    # Green is in no square: the right edge of the box is.
    assert frames[0][20:31, 30:32, 1].mean() > 60
    assert frames[0][20:31, 80:100, 1].mean() < 50
    # The note at the bottom, and the box still there.
    assert np.abs(frames[11][-8:, :40].astype(int) - frames[0][-8:, :40]).mean() > 20
    assert frames[11][20:31, 30:32, 1].mean() > 60
    assert frames[-1][20:31, 94:96, 1].mean() > 60


def test_the_tail_takes_batches_and_its_boxes_are_verified(exported, tmp_path):
    bundle = open_bundle(exported[0])
    assert TailModel.load(bundle, workers=1).batches
    invoke("verify", exported[0])
    with np.load(bundle.path("golden.npz")) as file:
        arrays = dict(file)
    arrays["outputs_classes"] = 1 - arrays["outputs_classes"]
    np.savez(tmp_path / "golden.npz", **arrays)
    files = {name: bundle.path(name) for name in bundle.manifest.files} | {"golden.npz": tmp_path / "golden.npz"}
    other = write_bundle(tmp_path / "other", bundle.manifest, files)
    with pytest.raises(BundleError, match="fails the gate 'tail outputs' here"):
        golden.check_tail(other, golden.read(other), Network.load(other.path("tail.onnx")))


def test_post_processing_stays_on_the_server(exported):
    bundle = open_bundle(exported[0])
    operators = {file: {node.op_type for node in onnx.load(bundle.path(file)).graph.node} for file in ("head.onnx", "tail.onnx")}
    assert "NonMaxSuppression" in operators["tail.onnx"]
    assert operators["head.onnx"] == {"Conv", "Relu", "Round", "Clip", "Cast"}


def test_tensorrt_takes_the_post_processing_too(tiny_detector, scenes, tmp_path):
    options = ["--bottleneck", "none", "--bits", "8", "--cut", "mixed", "--data", scenes, "--runtime", "tensorrt"]
    invoke("export", tiny_detector, "-o", tmp_path / "engine", *options)
    gates = [gate.name for gate in open_bundle(tmp_path / "engine").manifest.gates]
    assert gates[-1] == "TensorRT takes the networks"
    assert "boxes in a batch equal boxes alone" in gates


def test_the_outputs_stay_as_they_are_if_asked(tiny_detector, scenes, tmp_path):
    options = ["--bottleneck", "none", "--bits", "8", "--cut", "mixed", "--data", scenes, "--detector", "none"]
    invoke("export", tiny_detector, "-o", tmp_path / "plain", *options)
    manifest = open_bundle(tmp_path / "plain").manifest
    assert (manifest.task.kind, [port.name for port in manifest.outputs]) == ("features", ["raw"])


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (["--detector", "yolov5"], 1, "do not fit the family yolov5"),
        (["--detector", "yolo"], 2, "no detector family 'yolo'"),
        (["--labels", "missing.txt"], 2, "missing.txt cannot be read"),
        (["--score-min", "3"], 2, "--score-min is 3.0"),
    ],
)
def test_a_mistake_is_one_line(tiny_detector, scenes, tmp_path, options, code, words):
    done = runner.invoke(app, ["export", str(tiny_detector), "-o", str(tmp_path / "b"), "--data", str(scenes), *options])
    assert done.exit_code == code
    assert words in done.stderr
    assert "Traceback" not in done.stderr


# Real networks and photographs


@pytest.fixture(scope="module")
def data():
    folder = Path(os.environ.get("ISTHMUS_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))
    if not (folder / "detectors").is_dir() or not (folder / "coco128_train2017").is_dir():
        pytest.skip(f"no detectors and no photographs at {folder}; set ISTHMUS_DATA")
    return folder


@pytest.fixture(scope="module")
def photographs(data, tmp_path_factory):
    """Sixteen photographs of COCO in a flat folder, and file name -> what is on them."""
    folder = tmp_path_factory.mktemp("photographs")
    content = json.loads((data / "coco128_train2017" / "annotations.json").read_text())
    names = {picture["id"]: Path(picture["file_name"]).name for picture in content["images"]}
    with tarfile.open(data / "coco128_train2017" / "images.tar") as archive:
        members = sorted((member for member in archive if member.name.endswith(".jpg")), key=lambda member: member.name)[:16]
        for member in members:
            (folder / Path(member.name).name).write_bytes(archive.extractfile(member).read())
    truth = {path.name: [] for path in folder.iterdir()}
    for thing in content["annotations"]:
        if names[thing["image_id"]] in truth:
            truth[names[thing["image_id"]]].append((thing["category_id"], thing["bbox"]))
    return folder, truth


def as_found(rows):
    """Rows of (score, class, x1, y1, x2, y2)."""
    table = np.array(sorted(rows, reverse=True), float).reshape(-1, 6)
    return Found(boxes=table[:, 2:], scores=table[:, 0], classes=table[:, 1].astype(int))


def large_things(things):
    """What covers a square of 96 pixels, which COCO calls large."""
    return as_found([(1.0, kind, x, y, x + w, y + h) for kind, (x, y, w, h) in things if w * h > 96**2])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "found_min"), [("yolox_nano.onnx", 0.6), ("FastestDet__FastestDet.onnx", 0.35)], ids=["yolox", "fastestdet"]
)
def test_real_detectors_find_what_is_on_photographs(data, photographs, tmp_path, file, found_min):
    folder, truth = photographs
    options = ["--bottleneck", "none", "--bits", "8", "--cut", "auto", "--data", folder]
    invoke("export", data / "detectors" / file, "-o", tmp_path / "b", *options)
    with programs.server(tmp_path / "b") as running:
        answers = {
            placement: run(
                tmp_path / "b", folder, running.match["grpc"], "--no-gate", "--placement", placement, "--picture", "jpeg-95"
            )
            for placement in ("split", "offload", "local")
        }
    for records in answers.values():
        wanted = found = 0
        for record in records:
            boxes = as_found([(one["score"], one["index"], *one["box"]) for one in record["detections"]])
            things = large_things(truth[record["name"]])
            wanted += len(things)
            found += len(pairs(boxes, things, overlap_min=0.5))
        assert found / wanted >= found_min, (found, wanted)
