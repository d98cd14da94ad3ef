"""ImageNet's sample: the harness on drawn pictures, and how the released point is chosen."""

import numpy as np
import pytest

PHOTOS = 200


@pytest.fixture
def point(package):
    """A function that makes a point of the split which loses some photos of each half."""
    contender = package("benchmarks.contender").Contender

    def make(setting, share, size, lost, family="split"):
        correct = np.ones(PHOTOS)
        for half, count in enumerate(lost):
            correct[half * PHOTOS // 2 : half * PHOTOS // 2 + count] = 0
        return contender(
            family=family,
            setting=setting,
            variant="float",
            share=share,
            photos=np.arange(PHOTOS),
            correct=correct,
            unsplit=np.ones(PHOTOS),
            agrees=correct,
            sizes=np.full(PHOTOS, size),
        )

    return make


@pytest.fixture
def halves(package):
    """Two folds: the first and the second hundred."""
    split, every = package("benchmarks.headline.folds").Split, np.arange(PHOTOS)
    parts = [(every[100:], every[:100]), (every[:100], every[100:])]
    return [split(name=str(i), learning=other, choosing=every[:0], reporting=own) for i, (other, own) in enumerate(parts)]


def test_the_point_of_a_fold_is_chosen_by_the_other_one(package, point, halves) -> None:
    lucky, sound, large = point("lucky", 0.4, 900, (0, 20)), point("sound", 0.7, 900, (2, 2)), point("large", 0.3, 2000, (0, 0))
    found = package("benchmarks.imagenet.gathering").released([lucky, sound, large], halves)
    assert found.choices == ["sound", "lucky"]
    assert found.result.drop.value == pytest.approx((2 + 20) / PHOTOS)
    assert found.result.share == 0.7
    assert found.result.photos.tolist() == list(range(PHOTOS))


def test_where_none_loses_little_enough_the_best_of_few_bytes_stands(package, point, halves) -> None:
    found = package("benchmarks.imagenet.gathering").released(
        [point("a", 0.4, 900, (9, 9)), point("b", 0.9, 900, (8, 8))], halves
    )
    assert found.choices == ["b", "b"]


def test_nothing_of_few_bytes_is_released_as_nothing(package, point, halves) -> None:
    assert package("benchmarks.imagenet.gathering").released([point("a", 0.4, 1501, (0, 0))], halves) is None


@pytest.mark.parametrize(
    ("rivals", "words"),
    [
        ([("160px", 0.5, 0, (3, 3), "local")], "Run it on the device"),
        ([("160px", 0.7, 0, (3, 3), "local"), ("128px q30", 0, 800, (1, 1), "avif")], "Send the picture"),
        ([("160px", 0.4, 0, (9, 9), "local"), ("128px q30", 0, 1000, (2, 2), "avif")], "Split it"),
    ],
)
def test_the_advice_names_who_beats_the_split_and_the_split_where_nobody_does(package, point, rivals, words) -> None:
    split = point("cut", 0.6, 900, (2, 1))
    assert words in package("benchmarks.imagenet.verdict").advice([split, *(point(*one) for one in rivals)], split)


def test_a_split_that_loses_too_much_is_not_advised(package, point) -> None:
    split = point("cut", 0.6, 900, (9, 9))
    assert "9.0 points are too many to lose" in package("benchmarks.imagenet.verdict").advice([split], split)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_page_is_written_from_real_bundles_and_not_measured_again(package, tmp_path) -> None:
    main = package("benchmarks.imagenet.__main__").main
    assert main(["--quick", "--folder", str(tmp_path)]) == 0
    page = (tmp_path / "quick" / "imagenet.md").read_text()
    assert "| conv2d_20 pca 8 channels 4 bits |" in page
    assert "| webp 64px q20 |" in page
    assert (tmp_path / "quick" / "imagenet.svg").read_text().startswith("<svg")
    made = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.npz")}
    assert main(["--quick", "--folder", str(tmp_path)]) == 0
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.npz")} == made
