"""The whole harness on drawn pictures: trained, exported, sent, timed, and told."""

from dataclasses import replace

import pytest
import torch


@pytest.fixture
def tiny(package):
    """A scale that takes seconds, photos, and a function that plans it."""
    plan, main = package("benchmarks.headline.plan"), package("benchmarks.headline.__main__")
    scale = replace(
        plan.QUICK,
        name="tiny",
        teacher=replace(plan.QUICK.teacher, epochs=1),
        points=plan.QUICK.points[:1],
        seeded=(),
        recipes=(),
        locals=plan.QUICK.locals[:1],
        pictures=[one for one in plan.QUICK.pictures if one.codec == "webp" and one.side == 32],
        bounds=(3000,),
    )
    photos = package("benchmarks.headline.photos").drawn(64)
    return lambda epochs=1.0: main.planned(photos, scale, 2, epochs, None)


def test_stages_of_other_budgets_share_the_teacher_alone(tiny, package) -> None:
    (few, _), (many, _) = tiny(1.0), tiny(2.0)
    same = {one.name for one, other in zip(few, many, strict=True) if one.key == other.key}
    assert same == {"teacher", "views", "sent webp"}


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_fold_is_measured_and_told_and_not_made_again(tiny, package, tmp_path) -> None:
    main, stores = package("benchmarks.headline.__main__"), package("benchmarks.headline.store")
    stages, courses = tiny()
    store = stores.Store(tmp_path / "tiny")
    own = [stage for stage in stages if stage.split == "fold0"]
    assert main.perform(store, own) == 0
    made = {path: path.stat().st_mtime_ns for path in store.root.rglob("*.npz")}
    assert main.perform(store, own) == 0
    assert {path: path.stat().st_mtime_ns for path in store.root.rglob("*.npz")} == made

    found = package("benchmarks.headline.gathering").gather(store, courses, time_anew=True)
    families = {(one.family, one.variant) for one in found.results}
    assert {("teacher", "int8"), ("local", "float"), ("isthmus", "float"), ("webp", "plain"), ("webp", "adapted")} <= families
    (point,) = found.family("isthmus")
    assert 0 < point.bytes_mean < 6 * 16 * 4 / 8 + 10
    assert found.device_ms(point) == sum(found.times[f"{point.key} {part}"].median for part in ("head", "codec"))

    page = package("benchmarks.headline.page").write(tmp_path, found).read_text()
    assert "1 of 2 folds are complete" in page
    assert "Not measured yet: bottlefit, entropic, ghnd, hnd." in page
    assert (tmp_path / "headline.svg").read_text().startswith("<svg")


def test_a_page_of_nothing_says_so(tiny, package, tmp_path) -> None:
    _, courses = tiny()
    store = package("benchmarks.headline.store").Store(tmp_path / "tiny")
    found = package("benchmarks.headline.gathering").gather(store, courses, time_anew=False)
    page = package("benchmarks.headline.page").write(tmp_path, found).read_text()
    assert "0 of 2 folds are complete" in page
    assert page.count("not measured yet") >= 9
    assert "| yes |" not in page


def test_a_training_goes_on_where_it_was_interrupted(tiny, package, tmp_path, monkeypatch) -> None:
    """The weights are those of a run that nobody interrupted."""
    fitting, mobilenet = package("benchmarks.headline.fitting"), package("benchmarks.mobilenet")
    monkeypatch.setattr(fitting, "TOLD_EVERY_S", 0.0)
    monkeypatch.setattr(fitting, "fastest", lambda _trial: fitting.Pace(threads=1, half_precision=False))
    _, (course, *_) = tiny()
    lesson, fit = course.lesson(course.preparation()), fitting.Fit(epochs=2, batch=8)

    def trained(checkpoint, stop_at):
        torch.manual_seed(0)
        network = mobilenet.begin(mobilenet.MobileNetV2(4, width=0.25))

        def tell(part, _words) -> None:
            if part >= stop_at:
                raise KeyboardInterrupt

        fitting.train(network, lesson, fit, checkpoint, tell)
        return network.state_dict()

    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "one", 0.5)
    resumed, whole = trained(tmp_path / "one", 2), trained(tmp_path / "other", 2)
    assert all(torch.equal(resumed[name], whole[name]) for name in whole)
