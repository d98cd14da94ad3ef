"""Targets are judged by what was measured, on the same photos, and by nothing else."""

import numpy as np
import pytest

PHOTOS = 1000


@pytest.fixture
def targets(package):
    return package("benchmarks.headline.targets")


@pytest.fixture
def make(package):
    """A function that makes a contender of one fold, right on the first photos of a share, and what is found of several."""
    gathering, plan, timing = (package(f"benchmarks.headline.{name}") for name in ("gathering", "plan", "timing"))

    def result(family, setting, variant, right, *, size=0.0, chosen=None):
        correct = (np.arange(PHOTOS) < right * PHOTOS).astype(float)
        fold = gathering.Fold(
            correct=correct,
            teacher=(np.arange(PHOTOS) < 0.93 * PHOTOS).astype(float),
            divergence=np.zeros(PHOTOS),
            sizes=np.full(PHOTOS, size),
            choosing=(right if chosen is None else chosen, size),
            bare=None,
        )
        return gathering.Result(family=family, setting=setting, variant=variant, folds={"fold0": fold})

    def found(results, **times):
        return gathering.Found(
            scale=plan.FULL,
            epochs=1,
            photos="photos",
            folds=5,
            results=results,
            official=[],
            times={name.replace("_", " "): timing.Times(median=ms, low=ms, high=ms, least=ms) for name, ms in times.items()},
            stages={"fold0": (0, 9), "official": (2, 9)},
        )

    return result, found


def by_what(targets, found):
    return {one.what: one for one in targets.targets(found)}


def test_nothing_measured_is_neither_met_nor_missed(targets, make) -> None:
    assert {one.met for one in targets.targets(make[1]([]))} == {None}


def test_the_released_point_is_chosen_by_the_other_photos(make) -> None:
    result, found = make
    lucky = result("isthmus", "lucky", "float", 0.93, size=300, chosen=0.90)
    sound = result("isthmus", "sound", "float", 0.92, size=390, chosen=0.92)
    large = result("isthmus", "large", "float", 0.93, size=500, chosen=0.93)
    assert found([lucky, sound, large]).released is sound


def test_accuracy_and_its_bound_are_judged_apart(targets, make) -> None:
    result, found = make
    rows = by_what(targets, found([result("isthmus", "c6", "float", 0.921, size=380)]))
    assert rows["the same: points behind the teacher"].met is True
    assert rows["the same: points behind the teacher"].measured == "0.90"
    assert rows["the same: upper 95% bound of that"].met is True
    rows = by_what(targets, found([result("isthmus", "c6", "float", 0.915, size=380)]))
    assert {rows[f"the same: {what}"].met for what in ("points behind the teacher", "upper 95% bound of that")} == {False}


@pytest.mark.parametrize(("time_ms", "met"), [(0.39, False), (0.50, True)])
def test_only_local_networks_of_equal_time_count(targets, make, time_ms, met) -> None:
    result, found = make
    results = [
        result("isthmus", "c6", "float", 0.92, size=380),
        result("local", "96px", "int8", 0.91),
        result("local", "64px", "int8", 0.85),
    ]
    times = {"isthmus_c6_float_head": 0.34, "isthmus_c6_float_codec": 0.02, "local_96px_int8": time_ms, "local_64px_int8": 0.2}
    row = by_what(targets, found(results, **times))["points above every local network of equal device time"]
    assert row.met is met


def test_bytes_are_compared_at_the_accuracy_of_the_point(targets, make) -> None:
    result, found = make
    pictures = [result("webp", f"q{size}", "adapted", right, size=size) for size, right in ((800, 0.90), (3200, 0.94))]
    row = by_what(targets, found([result("isthmus", "c6", "float", 0.92, size=400), *pictures]))[
        "bytes of webp at the same top-1, network adapted, over the point's"
    ]
    assert (row.measured, row.met) == ("4.0 (1600 bytes)", True)


def test_pictures_that_never_get_there_are_counted_as_far_as_they_were_measured(targets, make) -> None:
    result, found = make
    point = result("isthmus", "c6", "float", 0.92, size=400)
    rows = [
        by_what(targets, found([point, result("webp", "q", "adapted", 0.90, size=size)]))[
            "bytes of webp at the same top-1, network adapted, over the point's"
        ]
        for size in (800, 2000)
    ]
    assert [row.met for row in rows] == [None, True]


def test_the_head_is_judged_against_the_int8_network(targets, make) -> None:
    result, found = make
    times = {"isthmus_c6_float_head": 0.34, "teacher_whole_int8": 1.75}
    row = by_what(targets, found([result("isthmus", "c6", "float", 0.92, size=380)], **times))[
        "head's time over that of the int8 MobileNetV2"
    ]
    assert (row.measured, row.met) == ("0.19 (0.34 of 1.75 ms)", True)


@pytest.mark.parametrize(("size", "met"), [(2000, None), (800, False)])
def test_pictures_of_which_smaller_ones_were_not_measured_prove_nothing(targets, make, size, met) -> None:
    result, found = make
    results = [result("isthmus", "c6", "float", 0.90, size=400), result("webp", "q", "adapted", 0.91, size=size)]
    row = by_what(targets, found(results))["bytes of webp at the same top-1, network adapted, over the point's"]
    assert (row.met, row.measured.startswith("at most")) == (met, True)


def test_the_collections_own_split_stands_where_no_fold_was_begun_and_the_page_says_so(make, package, tmp_path) -> None:
    result, found = make
    alone = result("isthmus", "c6", "float", 0.92, size=390)
    assert found([alone]).is_of_folds
    alone.folds["official"] = alone.folds.pop("fold0")
    assert not found([alone]).is_of_folds
    page = package("benchmarks.headline.page").write(tmp_path, found([alone])).read_text()
    assert "the figures below are of the collection's own split" in page
    assert "The folds have not been begun." in page
