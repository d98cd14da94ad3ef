import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

from isthmus.contract.prepare import Preparation, prepare
from isthmus.errors import ExportError
from isthmus.export import samples
from isthmus.export.samples import Samples

SMALL = Preparation(width=6, height=4)
IMAGES = np.random.default_rng(0).integers(0, 256, (5, 8, 10, 3), np.uint8)


def plain(count, labels=None, names=()):
    pictures = [np.full((2, 2, 3), index, np.uint8) for index in range(count)]
    return Samples(pictures=pictures, labels=labels, names=names, origin="test")


def write(folder, *names):
    for index, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / name), np.full((8, 10, 3), 10 * index, np.uint8))


def test_class_folders_give_labels_in_the_order_of_their_names(tmp_path):
    write(tmp_path, "hat/1.png", "boot/2.png", "boot/1.PNG")
    (tmp_path / "empty").mkdir()
    found = samples.read(tmp_path)
    assert (found.names, found.labels.tolist()) == (("boot", "hat"), [0, 0, 1])
    assert [int(picture[0, 0, 0]) for picture in found.pictures] == [20, 10, 0]


def test_a_folder_without_class_folders_is_not_labelled(tmp_path):
    write(tmp_path, "a.png", "b.png")
    found = samples.read(tmp_path)
    assert (len(found), found.labels, found.names) == (2, None, ())


def test_a_broken_picture_is_left_out_with_a_warning(tmp_path, capfd):
    write(tmp_path, "hat/a.png", "boot/b.png")
    (tmp_path / "boot" / "a.jpg").write_bytes(b"\xff\xd8\xff no picture")
    (tmp_path / "boot" / "notes.txt").write_text("no picture either")
    found = samples.read(tmp_path)
    assert found.labels.tolist() == [0, 1]
    said = "".join(capfd.readouterr())
    assert "picture left out" in said
    assert "a.jpg" in said
    assert "notes" not in said


def test_pictures_are_fitted_once_and_prepared_to_the_same_arrays(tmp_path):
    np.savez(tmp_path / "some.npz", images=IMAGES)
    kept, fitted = samples.read(tmp_path / "some.npz"), samples.read(tmp_path / "some.npz", SMALL)
    assert {picture.shape for picture in fitted.pictures} == {(4, 6, 3)}
    np.testing.assert_array_equal(samples.prepared(fitted.pictures, SMALL), samples.prepared(kept.pictures, SMALL))


def test_npz_images_are_rgb_and_pictures_bgr(tmp_path):
    np.savez(tmp_path / "some.npz", images=IMAGES, labels=np.array([0, 2, 1, 2, 0], np.uint8))
    found = samples.read(tmp_path / "some.npz")
    np.testing.assert_array_equal(found.pictures[3], IMAGES[3][..., ::-1])
    assert (found.labels.tolist(), found.names, found.origin) == ([0, 2, 1, 2, 0], ("0", "1", "2"), "some.npz, 5 pictures")


def test_npz_can_name_the_classes(tmp_path):
    np.savez(tmp_path / "some.npz", images=IMAGES, labels=[0, 1, 1, 1, 0], names=["boot", "hat", "scarf"])
    assert samples.read(tmp_path / "some.npz").names == ("boot", "hat", "scarf")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"pictures": IMAGES}, "holds pictures; it needs `images`"),
        ({}, "holds nothing; it needs `images`"),
        ({"images": IMAGES / 255}, r"is float64\[5, 8, 10, 3\]; it must be uint8"),
        ({"images": IMAGES[..., 0]}, r"is uint8\[5, 8, 10\]; it must be uint8"),
        ({"images": IMAGES[:0]}, r"is uint8\[0, 8, 10, 3\]"),
        ({"images": IMAGES, "labels": [1, 2]}, r"has shape \[2\], there are 5 images"),
        ({"images": IMAGES, "labels": [0.0, 1, 1, 1, 0]}, "is float64; it must hold integers"),
        ({"images": IMAGES, "labels": list("abcde")}, "is <U1; it must hold integers"),
        ({"images": IMAGES, "labels": [0, -1, 1, 1, 0]}, r"spans -1\.\.1, there are 2 classes"),
        ({"images": IMAGES, "labels": [0, 1, 2, 1, 0], "names": ["a", "b"]}, r"spans 0\.\.2, there are 2 classes"),
        ({"images": np.array([None])}, "cannot be read: Object arrays"),
    ],
)
def test_arrays_of_another_kind_are_refused_in_one_line(tmp_path, arrays, message):
    np.savez(tmp_path / "some.npz", **arrays)
    with pytest.raises(ExportError, match=message) as refused:
        samples.read(tmp_path / "some.npz")
    assert "\n" not in str(refused.value)


def npz_bytes(tmp_path):
    np.savez_compressed(tmp_path / "whole.npz", images=IMAGES)
    return (tmp_path / "whole.npz").read_bytes()


@pytest.mark.parametrize("damage", ["truncated", "flipped", "text", "empty", "array"])
def test_a_damaged_npz_is_refused_in_one_line(tmp_path, damage):
    data = npz_bytes(tmp_path)
    place = tmp_path / "some.npz"
    flipped = bytearray(data)
    flipped[len(data) // 2] ^= 255
    place.write_bytes({"truncated": data[: len(data) // 2], "flipped": bytes(flipped), "text": b"hello"}.get(damage, b""))
    if damage == "array":
        np.save(tmp_path / "one.npy", IMAGES)
        (tmp_path / "one.npy").rename(place)
    with pytest.raises(ExportError, match=r"some\.npz (cannot be read|holds one unnamed array)") as refused:
        samples.read(place)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nowhere", "there are no pictures at"),
        ("a.txt", "is not a folder of pictures"),
        ("empty", "no readable picture"),
        ("no.npz", "cannot be read"),
    ],
)
def test_a_place_without_pictures_is_refused(tmp_path, name, message):
    (tmp_path / "a.txt").write_text("text")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ExportError, match=message):
        samples.read(tmp_path / name)


def test_more_pictures_than_memory_may_hold_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(samples, "MEMORY_MAX_BYTES", 300)
    write(tmp_path, "a.png", "b.png")
    with pytest.raises(ExportError, match=r"the first 2 pictures fill .* of memory"):
        samples.read(tmp_path)


@given(count=some.integers(2, 60), share=some.floats(0.01, 0.6), seed=some.integers(0, 5))
def test_the_parts_of_a_split_are_disjoint_complete_and_the_same_for_a_seed(count, share, seed):
    whole = plain(count, labels=np.arange(count))
    first, second = whole.split(share, seed=seed)
    again = whole.split(share, seed=seed)
    assert sorted([*first.labels, *second.labels]) == list(range(count))
    assert len(second) == max(1, round(count * share))
    assert [part.labels.tolist() for part in again] == [first.labels.tolist(), second.labels.tolist()]
    assert [int(picture[0, 0, 0]) for picture in second.pictures] == second.labels.tolist()


def test_another_seed_draws_other_samples():
    whole = plain(50, labels=np.arange(50))
    assert whole.split(0.5, seed=0)[1].labels.tolist() != whole.split(0.5, seed=1)[1].labels.tolist()


def test_batches_hold_every_picture_in_order():
    whole = plain(5)
    found = list(samples.batches(whole, SMALL, 2))
    assert [len(batch) for batch in found] == [2, 2, 1]
    np.testing.assert_array_equal(np.concatenate(found)[3:4], prepare(whole.pictures[3], SMALL))


@pytest.mark.parametrize(
    ("names", "known", "count", "classes"),
    [
        (("b", "c"), ("a", "b", "c"), 3, [1, 2]),
        (("b", "d"), ("a", "b", "c"), 3, None),
        (("b", "d"), (), 2, [0, 1]),
        (("b", "d"), (), 1000, None),
        (("0", "1"), (), 1000, [0, 1]),
        (("0", "1"), ("a", "b", "c"), 3, [0, 1]),
        (("0", "1"), (), 0, None),
    ],
)
def test_labels_become_classes_of_a_network_only_where_it_is_clear_which(names, known, count, classes):
    found = plain(2, labels=np.array([0, 1]), names=names).classes(known, count)
    assert (None if found is None else found.tolist()) == classes


@pytest.mark.parametrize(("rows", "columns"), [(40, 40), (60, 44), (33, 61), (30, 200), (8, 9)])
@pytest.mark.parametrize("fit", ["crop", "stretch", "letterbox"])
def test_a_picture_with_its_margin_prepares_to_the_same_bytes(rows, columns, fit):
    preparation = Preparation(width=24, height=20, fit=fit)
    picture = np.random.default_rng(0).integers(0, 256, (rows, columns, 3), np.uint8)
    kept = samples.sized(picture, preparation)
    assert np.array_equal(prepare(kept, preparation), prepare(picture, preparation))
    assert kept.shape[0] <= 40
    assert kept.shape[1] <= 48


def test_a_crop_keeps_its_margin_for_training():
    picture = np.zeros((30, 60, 3), np.uint8)
    assert samples.sized(picture, Preparation(width=20, height=20, fit="crop")).shape == (20, 40, 3)
