import zipfile

import numpy as np
import pytest
from sklearn.datasets import load_digits

from isthmus.errors import SourceError
from isthmus.head.belt import LABEL_SHARE, Belt


@pytest.fixture(scope="module")
def digits():
    data = load_digits()
    return data.images.astype(np.uint8), data.target.astype(np.uint8)


@pytest.fixture(scope="module")
def belt(digits):
    return Belt(*digits, seed=3, frames=900)


def _first(belt, wanted):
    return next(index for index in range(len(belt)) if wanted(belt.visible_shares[index]))


def test_equal_arguments_give_equal_bytes(digits, belt):
    twin = Belt(*digits, seed=3, frames=900)
    assert all(np.array_equal(belt.frame(index).image, twin.frame(index).image) for index in range(0, 900, 7))


def test_another_seed_gives_another_belt(digits, belt):
    assert not np.array_equal(belt.frame(0).image, Belt(*digits, seed=4, frames=900).frame(0).image)


def test_frames_do_not_depend_on_the_order_in_which_they_are_asked_for(digits, belt):
    late_first = belt.frame(500).image
    views = list(Belt(*digits, seed=3, frames=900))
    assert len(views) == 900
    assert np.array_equal(views[500].image, late_first)


def test_a_belt_begins_with_an_empty_frame_of_the_asked_size(belt):
    assert belt.frame(0).image.shape == (240, 320, 3)
    assert belt.frame(0).image.dtype == np.uint8
    assert belt.frame(0).label is None


def test_a_changed_image_does_not_change_the_belt(belt):
    before = belt.frame(1).image
    belt.frame(1).image[:] = 0
    assert np.array_equal(belt.frame(1).image, before)


def test_most_frames_are_empty_and_many_have_a_label(belt):
    shares = belt.visible_shares
    assert (shares == 0).mean() > 0.6
    assert (shares >= LABEL_SHARE).sum() > 30


def test_label_edge_and_empty_exclude_each_other(belt):
    for index in range(len(belt)):
        view = belt.frame(index)
        assert (view.label is not None) == (view.visible_share >= LABEL_SHARE)
        assert view.edge == (0 < view.visible_share < LABEL_SHARE)
        assert view.label == belt.label(index)


def test_the_digit_is_where_frames_differ_from_an_empty_one(digits, belt):
    index = _first(belt, lambda share: share == 1)
    before = _first(belt, lambda share: share > 0) - 1
    changed = np.abs(belt.frame(index).image.astype(int) - belt.frame(before).image).max(axis=2) > 40
    rows, columns = np.nonzero(changed)
    assert 100 < len(rows) < 0.15 * 240 * 320
    assert np.ptp(rows) < 130
    assert np.ptp(columns) < 130


def test_nothing_of_a_digit_shows_where_the_share_is_zero(digits):
    sprites, labels = digits
    with_ink, without = (Belt(pixels, labels, seed=5, frames=900) for pixels in (sprites, np.zeros_like(sprites)))
    empty = np.flatnonzero(with_ink.visible_shares == 0)
    assert all(np.array_equal(with_ink.frame(i).image, without.frame(i).image) for i in empty[::5])


def test_the_visible_share_is_the_share_of_ink_in_the_picture(digits):
    sprites, labels = digits
    with_ink, without = (Belt(pixels, labels, seed=5, frames=900) for pixels in (sprites, np.zeros_like(sprites)))
    shares = with_ink.visible_shares
    start, stop = np.flatnonzero(np.diff(np.r_[0, shares > 0, 0]))[:2]
    ink = [float(with_ink.frame(i).image.astype(int).sum() - without.frame(i).image.sum()) for i in range(start, stop)]
    assert np.abs(np.array(ink) / max(ink) - shares[start:stop]).max() < 0.1


def test_ink_counted_to_16_and_to_255_look_alike(digits):
    sprites, labels = digits
    full = np.rint(sprites * (255 / 16)).astype(np.uint8)
    one, other = (Belt(pixels, labels, seed=5, frames=200) for pixels in (sprites, full))
    index = _first(one, lambda share: share == 1)
    assert np.array_equal(one.frame(index).image, other.frame(index).image)


@pytest.mark.parametrize("index", [-1, 900])
def test_a_frame_beyond_the_end_is_an_index_error(belt, index):
    with pytest.raises(IndexError, match="900 frames"):
        belt.frame(index)


def test_a_saved_belt_loads_as_the_same_belt(digits, tmp_path):
    belt = Belt(*digits, seed=9, frames=120, width=200, height=160)
    belt.save(tmp_path / "belt.npz")
    loaded = Belt.load(tmp_path / "belt.npz")
    assert len(loaded) == 120
    assert np.array_equal(loaded.frame(100).image, belt.frame(100).image)


def test_a_file_without_a_size_is_320_by_240(digits, tmp_path):
    np.savez(tmp_path / "belt.npz", sprites=digits[0], labels=digits[1], seed=1, frames=50)
    assert Belt.load(tmp_path / "belt.npz").frame(0).image.shape == (240, 320, 3)


def test_every_cut_of_a_file_is_a_source_error(digits, tmp_path):
    path = tmp_path / "belt.npz"
    Belt(digits[0][:20], digits[1][:20], seed=1, frames=50).save(path)
    data = path.read_bytes()
    for end in range(0, len(data), 97):
        path.write_bytes(data[:end])
        with pytest.raises(SourceError):
            Belt.load(path)


def test_changed_bytes_load_or_raise_a_source_error(digits, tmp_path):
    path = tmp_path / "belt.npz"
    Belt(digits[0][:20], digits[1][:20], seed=1, frames=50).save(path)
    data = bytearray(path.read_bytes())
    random = np.random.default_rng(0)
    refused = 0
    for _ in range(150):
        spoiled = data.copy()
        spoiled[random.integers(len(data))] ^= 1 << random.integers(8)
        path.write_bytes(spoiled)
        try:
            Belt.load(path)
        except SourceError:
            refused += 1
    assert refused > 75


def test_a_missing_file_and_a_file_of_pickles_are_source_errors(tmp_path):
    with pytest.raises(SourceError, match="does not exist"):
        Belt.load(tmp_path / "none.npz")
    np.savez(tmp_path / "objects.npz", sprites=np.array([{}], dtype=object))
    with pytest.raises(SourceError, match="damaged"):
        Belt.load(tmp_path / "objects.npz")


def test_a_file_that_unpacks_to_far_too_much_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "bomb.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("sprites.npy", bytes(65_000_000))
    with pytest.raises(SourceError, match="unpacks to"):
        Belt.load(tmp_path / "bomb.npz")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sprites": np.zeros((3, 8, 7), np.uint8)}, "sprites are"),
        ({"sprites": np.zeros((3, 8, 8), np.float32)}, "sprites are"),
        ({"labels": np.zeros(2, np.uint8)}, "labels are"),
        ({"sprites": np.zeros((0, 8, 8), np.uint8), "labels": np.zeros(0, np.uint8)}, "labels are"),
        ({"seed": -1}, "seed"),
        ({"frames": 0}, "frames"),
        ({"frames": 10**12}, "frames"),
        ({"frames": 1.5}, "whole number"),
        ({"seed": np.arange(2)}, "whole number"),
        ({"width": 10**6}, "pixels"),
    ],
)
def test_values_out_of_range_are_named(tmp_path, change, message):
    sound = {"sprites": np.ones((3, 8, 8), np.uint8), "labels": np.zeros(3, np.uint8), "seed": 1, "frames": 9}
    np.savez(tmp_path / "belt.npz", **(sound | change))
    with pytest.raises(SourceError, match=message):
        Belt.load(tmp_path / "belt.npz")


def test_a_file_that_lacks_an_array_says_which(tmp_path):
    np.savez(tmp_path / "belt.npz", labels=np.zeros(3, np.uint8), seed=1)
    with pytest.raises(SourceError, match="holds no frames, sprites"):
        Belt.load(tmp_path / "belt.npz")


def test_every_digit_enters_crosses_and_leaves(digits):
    shares = Belt(*digits, seed=6, frames=3000).visible_shares
    borders = np.flatnonzero(np.diff(np.r_[0, shares > 0, 0]))
    passages = [shares[start:stop] for start, stop in borders.reshape(-1, 2) if stop < 3000]
    assert len(passages) > 5
    assert all(passage[0] < LABEL_SHARE > passage[-1] for passage in passages)
    assert all(passage.max() == 1 for passage in passages)
