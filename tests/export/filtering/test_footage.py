import numpy as np
import pytest

from isthmus.devices.runtime import Network
from isthmus.errors import ExportError
from isthmus.export.filtering import footage as reading
from isthmus.export.filtering.footage import Footage, Shot
from isthmus.export.filtering.labels import SourceLabels


def test_codes_are_those_of_the_head_and_labels_those_of_the_source(tiny_bundle, footage):
    film = reading.read(tiny_bundle, footage(40, [(10, 19)]), SourceLabels())
    assert film.codes[0].shape == (40, 4, 4, 4)
    assert film.codes[0].dtype == np.int8
    assert np.flatnonzero(film.seen).tolist() == list(range(10, 20))
    assert (film.name, film.fps) == ("drawn.mp4", 10.0)


def test_the_head_that_a_device_prefers_is_run(make_tiny_bundle, footage):
    bundle = make_tiny_bundle(int8=True)
    films = [reading.read(one, footage(5, [(2, 2)]), SourceLabels()) for one in (bundle, make_tiny_bundle())]
    assert reading.head_of(bundle) == "head.int8.onnx"
    assert (films[0].codes[0] != films[1].codes[0]).any()


def test_every_third_frame_is_a_third_of_the_rate(tiny_bundle, footage):
    film = reading.read(tiny_bundle, footage(30, [(9, 20)]), SourceLabels(), every=3)
    assert (len(film.seen), film.fps, np.flatnonzero(film.seen).tolist()) == (10, pytest.approx(10 / 3), [3, 4, 5, 6])


def test_frames_of_class_folders_are_put_in_the_order_of_their_names(tiny_bundle):
    names = ["empty/f2.png", "empty/f10.png", "thing/f3.png"]
    shots = [
        Shot(index=index, name=name, picture=np.full((32, 32, 3), index, np.uint8), truth="thing" in name)
        for index, name in enumerate(names)
    ]
    film = reading.read(tiny_bundle, Footage(name="f", fps=None, shots=shots), SourceLabels(), by_file_name=True)
    assert film.seen.tolist() == [False, True, False]
    assert film.fps == reading.FPS_UNKNOWN


def test_half_a_thing_is_neither_seen_nor_empty(tiny_bundle, footage):
    shots = [Shot(index=0, name="", picture=np.zeros((9, 9, 3), np.uint8)), *footage(3, [(1, 1)]).shots]
    film = reading.read(tiny_bundle, Footage(name="f", fps=1.0, shots=shots), SourceLabels())
    assert film.known.tolist() == [False, True, True, True]


@pytest.mark.parametrize(("count", "message"), [(0, "gave no frame"), (3, "does not know what is to be seen")])
def test_film_that_tells_nothing_is_refused(tiny_bundle, count, message):
    shots = [Shot(index=index, name="", picture=np.zeros((9, 9, 3), np.uint8)) for index in range(count)]
    with pytest.raises(ExportError, match=message):
        reading.read(tiny_bundle, Footage(name="f", fps=1.0, shots=shots), SourceLabels())


def test_codes_that_memory_does_not_hold_are_refused(tiny_bundle, footage, monkeypatch):
    monkeypatch.setattr(reading, "CODES_MAX_BYTES", 10 * 64)
    with pytest.raises(ExportError, match=r"the first 11 frames.*take fewer: --every N"):
        reading.read(tiny_bundle, footage(), SourceLabels())


def test_codes_do_not_depend_on_the_batch(tiny_bundle, footage):
    film = reading.read(tiny_bundle, footage(3, [(1, 1)]), SourceLabels())
    assert set(Network.of_bundle(tiny_bundle, "head.onnx").run({"image": np.zeros((1, 3, 32, 32), np.float32)})) == {"codes"}
    assert film.codes[0].min() >= -8
