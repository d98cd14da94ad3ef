"""What was made under the same settings is not made again, and nothing else is taken for it."""

import json

import pytest


@pytest.fixture
def stores(package):
    return package("benchmarks.headline.store")


def quiet(part, words) -> None:
    del part, words


def counted(stores, made, **settings):
    def work(work):
        made.append(work.folder)
        (work.folder / "result").write_text("made")
        return {"figure": 3}

    return stores.Stage(split="fold0", name="some thing", settings=settings, work=work)


def test_a_stage_is_done_once(stores, tmp_path) -> None:
    store, made = stores.Store(tmp_path), []
    for _ in range(2):
        store.perform(counted(stores, made, epochs=3), quiet)
    assert len(made) == 1
    assert store.facts(counted(stores, made, epochs=3))["figure"] == 3


def test_other_settings_are_another_stage(stores, tmp_path) -> None:
    store, made = stores.Store(tmp_path), []
    store.perform(counted(stores, made, epochs=3), quiet)
    assert not store.is_done(counted(stores, made, epochs=4))


def test_what_a_stage_needs_is_part_of_its_key(stores) -> None:
    first, other = (stores.Stage(split="fold0", name="teacher", settings={"epochs": epochs}) for epochs in (1, 2))
    keys = {stores.Stage(split="fold0", name="point", settings={}, needs=(teacher,)).key for teacher in (first, other)}
    assert len(keys) == 2


def test_an_interrupted_stage_is_not_done_and_keeps_its_folder(stores, tmp_path) -> None:
    def work(work):
        (work.folder / "checkpoint").write_text("half")
        raise KeyboardInterrupt

    store, stage = stores.Store(tmp_path), stores.Stage(split="fold0", name="point", settings={}, work=work)
    with pytest.raises(KeyboardInterrupt):
        store.perform(stage, quiet)
    assert not store.is_done(stage)
    assert (store.folder(stage) / "checkpoint").read_text() == "half"


def test_the_time_of_all_attempts_counts(stores, tmp_path) -> None:
    store, made = stores.Store(tmp_path), []
    stage = counted(stores, made)
    store.folder(stage).mkdir(parents=True)
    (store.folder(stage) / stores.SPENT).write_text(json.dumps({"seconds": 100.0}))
    store.perform(stage, quiet)
    assert store.facts(stage)["seconds"] >= 100


def test_time_left_is_that_of_the_same_stage_elsewhere(stores, tmp_path) -> None:
    def stage(split, name):
        return stores.Stage(split=split, name=name, settings={})

    store = stores.Store(tmp_path)
    done = stage("fold0", "point c6")
    store.folder(done).mkdir(parents=True)
    (store.folder(done) / stores.DONE).write_text(json.dumps({"seconds": 50.0}))
    stages = [done, stage("fold1", "point c6"), stage("fold0", "point c12"), stage("fold0", "sent webp")]
    assert store.seconds_left(stages) == (100.0, 1)


def test_what_is_needed_comes_first(stores) -> None:
    teacher = stores.Stage(split="fold0", name="teacher", settings={})
    point = stores.Stage(split="fold0", name="point", settings={}, needs=(teacher,))
    assert stores.with_needed([point, teacher]) == [teacher, point]


def test_a_file_is_written_whole_and_nothing_stays_beside_it(stores, tmp_path) -> None:
    stores.write_json(tmp_path / "facts.json", {"figure": 1})
    assert json.loads((tmp_path / "facts.json").read_text()) == {"figure": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["facts.json"]
