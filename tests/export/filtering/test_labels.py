import json

import numpy as np
import pytest

from isthmus.contract.bundle import open_bundle
from isthmus.contract.manifest import Task
from isthmus.contract.prepare import prepare
from isthmus.errors import ExportError, UsageError
from isthmus.export.filtering import labels
from isthmus.export.filtering.footage import Shot
from isthmus.export.filtering.labels import FileLabels, FolderLabels, ModelLabels, SourceLabels

NOTHING = np.zeros(0)


def shot(index=0, name="", picture=None):
    return Shot(index=index, name=name, picture=np.zeros((8, 8, 3), np.uint8) if picture is None else picture)


def told(source, *shots, film="a.mp4"):
    return [source.seen(film, one, NOTHING) for one in shots]


@pytest.fixture
def written(tmp_path):
    def write(name, content):
        path = tmp_path / name
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return path

    return write


def test_rows_are_frames_by_number_or_by_name(written):
    source = FileLabels(written("l.csv", "frame\n2\nx.png\n"))
    assert told(source, shot(1), shot(2), shot(0, "deep/x.png"), shot(0, "y.png")) == [False, True, True, False]


def test_rows_are_stretches_of_the_films_that_they_name(written):
    source = FileLabels(written("l.csv", "film,first,last\na.mp4,1,2\nb.mp4,5,5\n"))
    assert told(source, *map(shot, range(6))) == [False, True, True, False, False, False]
    assert told(source, shot(1), shot(5), film="b.mp4") == [False, True]


def test_pictures_with_an_annotation_that_has_a_size_count(written):
    coco = {
        "images": [{"id": number, "file_name": f"{number}.jpg"} for number in range(5)],
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
        "annotations": [
            {"image_id": 0, "category_id": 1, "bbox": [0, 0, 5, 5]},
            {"image_id": 1, "category_id": 1, "bbox": [0, 0, 5, 0]},
            {"image_id": 2, "category_id": 1, "bbox": [0, 0, 5, 5], "iscrowd": 1},
            {"image_id": 3, "category_id": 2, "bbox": [0, 0, 5, 5]},
        ],
    }
    frames = [shot(0, f"{number}.jpg") for number in range(5)]
    assert told(FileLabels(written("l.json", coco)), *frames) == [True, False, False, True, False]
    assert told(FileLabels(written("l.json", coco), ("dog",)), *frames) == [False, False, False, True, False]
    with pytest.raises(ExportError, match=r"do not know 9\.jpg of a\.mp4"):
        told(FileLabels(written("l.json", coco)), shot(0, "9.jpg"))
    with pytest.raises(ExportError, match="no category is named bird"):
        FileLabels(written("l.json", coco), ("bird",))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("l.csv", "", "the columns are missing; `frame`, or `first` and `last`, are needed"),
        ("l.csv", "a,b\n1,2\n", "the columns are a, b;"),
        ("l.csv", "first,last\n1,x\n", "invalid literal"),
        ("l.json", "[", "Expecting value"),
        ("l.json", [], "list"),
        ("l.json", {"images": []}, "annotations"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_in_one_line(written, name, content, message):
    with pytest.raises(ExportError, match=message) as refused:
        FileLabels(written(name, content))
    assert "\n" not in str(refused.value)


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ExportError, match="cannot be read: No such file"):
        FileLabels(tmp_path / "l.csv")


def test_folders_count_but_those_of_nothing():
    source = FolderLabels(("empty",))
    assert told(source, shot(0, "empty/1.png"), shot(1, "cat/2.png")) == [False, True]
    with pytest.raises(ExportError, match="lies in no class folder"):
        told(source, shot(0, "3.png"))
    with pytest.raises(UsageError, match="--nothing NAME"):
        FolderLabels(())


def test_the_whole_network_of_a_classifier_tells(tiny_bundle):
    presence = labels.presence_of(tiny_bundle.manifest.task, nothing=("a", "b"))
    source = ModelLabels(tiny_bundle, presence)
    pictures = [np.random.default_rng(seed).integers(0, 256, (32, 32, 3), dtype=np.uint8) for seed in range(20)]
    preparation = tiny_bundle.manifest.preparation
    seen = [source.seen("f", shot(0, "", picture), prepare(picture, preparation)) for picture in pictures]
    network = source._network
    wanted = [int(network.run({"image": prepare(picture, preparation)})["scores"].argmax()) > 1 for picture in pictures]
    assert seen == wanted
    assert len(set(seen)) == 2
    assert source.words == "the bundle's own unsplit network: classes but a, b"


def test_the_whole_network_of_a_detector_tells(detector_bundle, make_scene):
    manifest = detector_bundle.manifest
    red, blue, empty = make_scene(("red", 2, 1)), make_scene(("blue", 4, 1)), make_scene()
    for watched, wanted in (((), [True, True, False]), (("red",), [True, False, False])):
        source = labels.choose("model", detector_bundle, watched=watched, nothing=())
        seen = [source.seen("f", shot(0, "", one), prepare(one, manifest.preparation)) for one in (red, blue, empty)]
        assert seen == wanted


@pytest.fixture(scope="module")
def detector_bundle(tiny_detector, tmp_path_factory, make_scene):
    import cv2

    from isthmus.export.exporter import ExportSettings, export

    folder = tmp_path_factory.mktemp("detector-bundle")
    for index in range(6):
        cv2.imwrite(str(folder / f"{index}.png"), make_scene(("red", index % 4, 1), ("blue", 6, 2)))
    settings = ExportSettings(
        bottleneck="none", bits=8, data=folder, int8="off", cut="mixed", detector="yolox", labels=("red", "blue")
    )
    export(str(tiny_detector), folder / "bundle", settings)
    return open_bundle(folder / "bundle")


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("guess", {}, "--labels 'guess' is not known"),
        ("model", {"nothing": ("z",)}, "--nothing 'z' is no label of the bundle; it has a, b"),
    ],
)
def test_what_is_asked_for_wrongly_is_a_usage_error(tiny_bundle, name, options, message):
    with pytest.raises(UsageError, match=message):
        labels.choose(name, tiny_bundle, **{"watched": (), "nothing": (), **options})


def test_a_network_whose_answers_mean_no_nothing_cannot_tell(tiny_bundle, make_tiny_bundle):
    with pytest.raises(ExportError, match="name its classes for that with --nothing"):
        labels.choose("model", tiny_bundle, watched=(), nothing=())
    with pytest.raises(ExportError, match=r"has no whole\.onnx"):
        labels.choose("model", make_tiny_bundle(without=("whole.onnx",)), watched=(), nothing=("a",))
    assert labels.presence_of(Task(), nothing=("a",)) is None
    assert isinstance(labels.choose("source", tiny_bundle, watched=(), nothing=()), SourceLabels)
