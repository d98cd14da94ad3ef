"""Nothing is reported on that anything was learned from or chosen by."""

import numpy as np
import pytest

from isthmus.export.exporter import HELD_OUT_SHARE
from isthmus.export.samples import Samples


@pytest.fixture
def folds(package):
    return package("benchmarks.headline.folds")


def labels(seed=0, count=203):
    return np.sort(np.random.default_rng(seed).integers(0, 7, count))


def test_every_photo_is_left_out_once(folds) -> None:
    *of_folds, official = folds.splits(labels(), np.arange(203) % 10 == 0, 5)
    assert np.array_equal(np.sort(np.concatenate([one.reporting for one in of_folds])), np.arange(203))
    assert (official.name, official.reporting.tolist()) == ("official", list(range(0, 203, 10)))


def test_the_three_parts_of_a_split_are_disjoint_and_whole(folds) -> None:
    for one in folds.splits(labels(), np.arange(203) % 10 == 0, 5):
        parts = np.concatenate([one.learning, one.choosing, one.reporting])
        assert np.array_equal(np.sort(parts), np.arange(203))


def test_every_class_is_spread_over_the_folds(folds) -> None:
    found = folds.folds(labels(), 5)
    for label in range(7):
        counts = np.bincount(found[labels() == label], minlength=5)
        assert counts.max() - counts.min() <= 1
    assert np.ptp(np.bincount(found)) <= 1


def test_the_part_to_choose_by_is_what_the_exporter_holds_out(folds) -> None:
    """It is made here from the number of photos alone; the exporter divides the photos themselves."""
    learning, choosing = folds.held_out(97)
    given = Samples(pictures=list(np.arange(97)), labels=None, names=(), origin="")
    learned, held_out = given.split(HELD_OUT_SHARE, seed=folds.SEED)
    assert (learned.pictures, held_out.pictures) == (learning.tolist(), choosing.tolist())


def test_photos_come_in_the_order_in_which_the_exporter_reads_their_folder(package, tmp_path) -> None:
    from isthmus.export import samples

    photos = package("benchmarks.headline.photos").drawn(12)
    photos.write_folder(np.arange(12), tmp_path)
    read = samples.read(tmp_path)
    assert (read.names, read.labels.tolist()) == (photos.names, photos.labels.tolist())
    assert all(np.array_equal(one, other) for one, other in zip(read.pictures, photos.pictures(np.arange(12)), strict=True))
