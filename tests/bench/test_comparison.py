"""Two runs side by side: what is beyond chance is said, and nothing else."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from isthmus.bench import comparison, findings, samples
from isthmus.bench.results import Results, Row, percentiles, write_results
from isthmus.bench.samples import Samples
from isthmus.cli.main import app
from isthmus.contract.metric import proportion
from isthmus.errors import ConfigError

META = {"isthmus": "1", "data": "film", "frames": 400, "answered_every": 1, "scenario": "single-stream", "contract_digest": "a"}
runner = CliRunner()


def sampled(*, seed, slower=1.0, larger=0.0, wrong=0, starts=4, count=400, per_start=0.0):
    """One cell: latencies that scatter by a tenth, and differ between starts by `per_start`."""
    random = np.random.default_rng(seed)
    start = np.repeat(np.arange(starts), count // starts)
    shift = 1 + per_start * random.normal(size=starts)[start]
    return Samples(
        start=start,
        sequence=np.arange(count),
        latency_ms=20.0 * slower * shift * random.lognormal(0, 0.1, count),
        payload_bytes=np.random.default_rng(7).integers(300, 600, count) + larger,
        right=np.where(random.permutation(count) < wrong, 0.0, 1.0),
    )


def a_row(placement, setting, link, kept):
    return Row(
        placement=placement,
        setting=setting,
        link=link,
        point=None,
        frames=400,
        answered=len(kept.sequence),
        dropped={},
        recall=1.0,
        bytes_payload_mean=float(kept.payload_bytes.mean()),
        bytes_wire_mean=0,
        latency_ms=percentiles(kept.latency_ms),
        stages_ms={},
        metric=proportion("accuracy", int(np.nansum(kept.right)), len(kept.right)),
    )


@pytest.fixture
def write(tmp_path):
    """A function that writes a run of one cell, and gives its folder."""

    def write_run(name, kept, *, placement="split", link="5mbit/20ms", with_samples=True, **meta):
        folder = tmp_path / name
        write_results(folder / "results.json", Results(meta=META | meta, rows=(a_row(placement, "full", link, kept),)))
        if with_samples:
            samples.write(folder / samples.FILE_NAME, [kept])
        return folder

    return write_run


def verdicts(before, after, equal=()):
    [cell] = comparison.compare(before, after, equal).cells
    return {change.name: change.verdict for change in cell.changes}


SAME = dict.fromkeys(("latency_ms.p50", "latency_ms.p95", "bytes_payload_mean", "metric"), "no change seen")


def test_equal_runs_show_no_change(write):
    assert verdicts(write("a", sampled(seed=1)), write("b", sampled(seed=2))) == SAME


def test_a_slower_run_is_worse_and_the_order_tells_which(write):
    quick, slow = write("a", sampled(seed=1)), write("b", sampled(seed=2, slower=1.1))
    assert verdicts(quick, slow) == SAME | {"latency_ms.p50": "worse", "latency_ms.p95": "worse"}
    assert verdicts(slow, quick)["latency_ms.p50"] == "better"


def test_starts_that_differ_by_more_than_the_change_hide_it(write):
    quick, slow = write("a", sampled(seed=1, per_start=0.2)), write("b", sampled(seed=2, slower=1.1, per_start=0.2))
    assert verdicts(quick, slow) == SAME


def test_an_interval_is_no_narrower_than_starts_differ(write):
    runs = sampled(seed=3, per_start=0.04), sampled(seed=4, per_start=0.04)
    medians = [np.array([np.median(run.latency_ms[run.start == start]) for start in range(4)]) for run in runs]
    [cell] = comparison.compare(write("a", runs[0]), write("b", runs[1])).cells
    change = cell.changes[0]
    between = 3.182 * np.std(medians[1] - medians[0], ddof=1) / 2
    assert change.high - change.low >= 2 * between * 0.999


def test_equal_runs_that_differ_hide_a_change_of_their_size_and_no_larger_one(write):
    first, *equal = [
        write(f"equal-{seed}", sampled(seed=seed, slower=slower)) for seed, slower in enumerate((1.0, 1.02, 0.98, 1.01))
    ]
    slow, slower = write("slow", sampled(seed=8, slower=1.04)), write("slower", sampled(seed=9, slower=1.5))
    assert verdicts(first, slow)["latency_ms.p50"] == "worse"
    assert verdicts(first, slow, equal)["latency_ms.p50"] == "no change seen"
    assert verdicts(first, slower, equal)["latency_ms.p50"] == "worse"
    assert "from 4 of them" in " ".join(findings.sentences(comparison.compare(first, slower, equal)))


def test_an_interval_by_equal_runs_is_students(write):
    first, *equal = [write(f"equal-{seed}", sampled(seed=seed, slower=slower)) for seed, slower in enumerate((1.0, 1.3, 0.7))]
    medians = [np.median(sampled(seed=seed, slower=slower).latency_ms) for seed, slower in enumerate((1.0, 1.3, 0.7))]
    change = comparison.compare(first, write("b", sampled(seed=9)), equal).cells[0].changes[0]
    assert change.high - change.low == pytest.approx(2 * 4.303 * 2**0.5 * np.std(medians, ddof=1))


def test_a_run_that_was_made_otherwise_is_not_equal(write):
    first, second = write("a", sampled(seed=1)), write("b", sampled(seed=2))
    with pytest.raises(ConfigError, match=r"was not made like .*frames: 400, 300"):
        comparison.compare(first, second, [write("c", sampled(seed=3), frames=300)])


def test_of_the_same_frames_a_byte_more_is_seen(write):
    found = verdicts(write("a", sampled(seed=1)), write("b", sampled(seed=2, larger=1.0)))
    assert found["bytes_payload_mean"] == "worse"
    other = verdicts(write("c", sampled(seed=1)), write("d", sampled(seed=2, larger=1.0), data="another film"))
    assert other["bytes_payload_mean"] == "no change seen"


def test_more_wrong_answers_are_worse_and_one_is_chance(write):
    before = write("a", sampled(seed=1))
    assert verdicts(before, write("b", sampled(seed=2, wrong=40)))["metric"] == "worse"
    assert verdicts(before, write("c", sampled(seed=2, wrong=1)))["metric"] == "no change seen"


def test_few_frames_have_no_interval_for_what_lies_beyond_them(write):
    few = [write(name, sampled(seed=seed, count=40)) for name, seed in (("a", 1), ("b", 2))]
    assert verdicts(*few) == SAME | {"latency_ms.p95": "unknown"}


def test_without_samples_there_are_differences_and_no_verdict(write):
    before, after = write("a", sampled(seed=1)), write("b", sampled(seed=2, slower=2.0), with_samples=False)
    assert set(verdicts(before, after).values()) == {"unknown"}
    assert "4 figures have no interval" in " ".join(findings.sentences(comparison.compare(before, after)))


def test_what_is_not_alike_is_named(write):
    before = write("a", sampled(seed=1), machine={"cpu_model": "one", "cores": 2})
    after = write("b", sampled(seed=2), machine={"cpu_model": "other", "cores": 2}, contract_digest="b", steadiness={
        "steady": False, "reasons": ["it was hot"]})  # fmt: skip
    found = comparison.compare(before, after)
    assert found.differs == ("contract_digest: a, b", "machine: cpu_model one, cpu_model other")
    assert found.unsteady[0].endswith("is unsteady, a trial and no result: it was hot")


def test_runs_without_a_common_cell_are_refused(write):
    with pytest.raises(ConfigError, match="nothing to compare"):
        comparison.compare(write("a", sampled(seed=1)), write("b", sampled(seed=2), link="1mbit/20ms"))


@pytest.mark.parametrize(("slower", "more", "code"), [(1.1, [], 0), (1.1, ["--fail-on-regression"], 1),
    (1.0, ["--fail-on-regression"], 0), (1.1, ["--fail-on-regression", "--tolerance", "0.5"], 0)])  # fmt: skip
def test_the_exit_code_tells_a_regression_where_it_is_asked_for(write, slower, more, code):
    runs = [str(write("a", sampled(seed=1))), str(write("b", sampled(seed=2, slower=slower)))]
    done = runner.invoke(app, ["bench", "--compare", *runs, "--json", *more])
    assert done.exit_code == code, done.stderr
    told = json.loads(done.stdout)
    assert set(told) == {"meta", "rows"}
    assert [change["name"] for change in told["rows"][0]["changes"]] == list(SAME)


def test_equal_runs_are_named_on_the_command_line(write):
    runs = [str(write(name, sampled(seed=seed))) for seed, name in enumerate("abcd")]
    done = runner.invoke(app, ["bench", "--compare", *runs[:2], "--equal", runs[2], "--equal", runs[3], "--json"])
    assert json.loads(done.stdout)["meta"]["equal"] == runs[2:]


def test_people_get_a_table_and_sentences(write):
    done = runner.invoke(
        app, ["bench", "--compare", str(write("a", sampled(seed=1))), str(write("b", sampled(seed=2, slower=1.3)))]
    )
    assert done.exit_code == 0, done.stderr
    assert "Worse beyond chance: split full over 5mbit/20ms p50" in done.stdout


def test_a_folder_without_results_is_one_line(tmp_path):
    done = runner.invoke(app, ["bench", "--compare", str(tmp_path), str(tmp_path)])
    assert (done.exit_code, "cannot read" in done.stderr) == (3, True)


def test_equal_runs_without_a_comparison_are_a_usage_error(tmp_path):
    done = runner.invoke(app, ["bench", "--equal", str(tmp_path)])
    assert (done.exit_code, "needs --compare" in done.stderr) == (2, True)


def test_neither_a_bundle_nor_two_runs_is_a_usage_error():
    done = runner.invoke(app, ["bench"])
    assert (done.exit_code, "--compare A B" in done.stderr) == (2, True)
