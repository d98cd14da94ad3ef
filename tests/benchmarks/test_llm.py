"""The benchmark of language models: how figures are made of times and tokens, and a run on a tiny model from export to page."""

import argparse
import os
import time
from types import SimpleNamespace

import numpy as np
import pytest

TINY = {"layers": 2, "width": 32, "heads": 2, "key_value_heads": 1, "head": 16, "vocabulary": 128}


def part(package, name):
    return package(f"benchmarks.llm.{name}")


def compute_row(**changed):
    ratios = {f"{clock}_{name}": 1.0 for clock in ("wall", "cpu") for name in ("ratio", "low", "high")}
    return {"kind": "compute", "model": "split", "weights": "int8", "cut": 4, "parameters": 77_000_000, **ratios, **changed}


def test_the_model_is_as_large_as_the_target_wants_and_the_shape_of_the_real_one(package):
    shape = part(package, "models").Shape()
    assert shape.parameters == 77_251_072 >= part(package, "targets").PARAMETERS_LEAST
    assert (shape.width * 4, shape.heads * 4, shape.key_value_heads * 4, shape.inner * 4) == (2048, 32, 8, 8192)


def test_a_ratio_of_times_is_that_of_medians_and_sure_where_all_rounds_agree(package):
    below = np.random.default_rng(0).uniform(1, 2, (5, 9))
    found = part(package, "compute").ratio(below * 1.25, below)
    assert (found.value, found.low, found.high) == pytest.approx((1.25, 1.25, 1.25))


def test_a_ratio_is_unsure_where_rounds_differ(package):
    above = np.repeat([[1.0], [1.0], [3.0]], 4, axis=1)
    found = part(package, "compute").ratio(above, np.ones((3, 4)))
    assert (found.value, found.low, found.high) == (1.0, 1.0, 3.0)


@pytest.mark.parametrize(("wall", "cpu", "met"), [(1.04, 1.05, True), (1.04, 1.06, False), (1.06, 1.04, False)])
def test_the_split_is_judged_by_the_clock_and_by_processor_time(package, wall, cpu, met):
    (target,) = part(package, "targets").judge([compute_row(wall_ratio=wall, cpu_ratio=cpu)])
    assert target["met"] is met


def test_a_small_model_and_the_other_modes_are_not_judged(package):
    share = {"model": "m", "cut": 1, "layers": 5, "agreement": 0.5, "low": 0.4, "high": 0.6}
    rows = [compute_row(parameters=300), {"kind": "agreement", "mode": "int8", **share}]
    assert part(package, "targets").judge(rows) == []
    (target,) = part(package, "targets").judge([{"kind": "agreement", "mode": "int4", **share}])
    assert target["met"] is False


def test_many_conversations_are_compared_with_one_of_the_same_round(package):
    together = part(package, "together")
    pairs = [((10, 8.0), (40, 2.0)), ((5, 8.0), (10, 4.0)), ((20, 8.0), (60, 2.0))]
    ones, many = ([together.Stretch(tokens_per_s=pair[i][0], cpu_ms=pair[i][1]) for pair in pairs] for i in (0, 1))
    alone, all_of_them = together.rows("int8", {1: ones, 16: many})
    assert (alone["tokens_per_s"], alone["gain"]) == (10, 1)
    assert [all_of_them[name] for name in ("gain", "gain_least", "gain_most", "cpu_gain")] == [3, 2, 4, 4]


def test_a_cell_is_the_median_of_its_rounds(package):
    rows = [{"link": "a", "placement": "p", "token_ms": ms, "server_mb": None, "tokens": 3} for ms in (1.0, 9.0, 2.0)]
    other = {"link": "b", "placement": "p", "token_ms": 5.0, "server_mb": 1.0, "tokens": 3}
    found = part(package, "links").medians([*rows, other])
    assert [(row["link"], row["token_ms"], row["server_mb"]) for row in found] == [("a", 2.0, None), ("b", 5.0, 1.0)]


def test_figures_of_a_conversation_are_per_token_behind_the_first_one(package):
    crossed = [0, 0]

    def answer(prompt):
        crossed[0] += 100 * len(prompt)
        while True:
            yield 1
            crossed[0] += 10
            crossed[1] += 3

    told = part(package, "device").talk(answer, 50, 8, 5, crossed=lambda: tuple(crossed))
    assert (told["prompt_up"], told["token_up"], told["token_down"], told["tokens"]) == (800, 10, 3, 5)
    assert (told["server_cpu_ms"], told["server_mb"]) == (None, None)


def test_the_pause_is_the_longest_wait_behind_the_trouble_and_the_bytes_are_those_of_it(package):
    outages = part(package, "outages")

    class Talk:
        bytes_up_down = (0, 0)

        def answer(self, prompt):
            for number in range(6):
                time.sleep(0.3 if number == 4 else 0.001)
                self.bytes_up_down = (self.bytes_up_down[0] + (500 if number == 4 else 10), 0)
                yield SimpleNamespace(drawn=SimpleNamespace(id=number), placement="local" if number >= 4 else "head-tail")

    size = outages.Size(prompt=1, tokens=6, trouble=3)
    told = outages._answer(Talk(), [0], size, (os.getpid(), 0))
    assert (told.ids, told.bytes_up, told.placements.count("local")) == ([0, 1, 2, 3, 4, 5], 500, 2)
    assert told.pause_s > told.token_s


@pytest.mark.parametrize(("most_ms", "wrong", "met"), [(999.0, 0, True), (1001.0, 0, False), (300.0, 1, False)])
def test_a_lost_server_may_cost_a_second_and_no_token(package, most_ms, wrong, met):
    row = {
        "kind": "outage",
        "what": "link cut",
        "then": "goes on alone",
        "weights": "int8",
        "rounds": 3,
        "pause_ms": 1.0,
        "wrong": wrong,
        "tokens": 9,
    }
    (target,) = part(package, "targets").judge([{**row, "pause_most_ms": most_ms}])
    assert target["met"] is met


def test_tokens_that_differ_or_are_missing_are_wrong(package):
    outages = part(package, "outages")
    told = outages.Told(ids=[1, 2, 3], placements=["head-tail"] * 3, pause_s=0.1, token_s=0.1, bytes_up=1)
    size = outages.Size(prompt=1, tokens=4, trouble=1)
    assert outages._wrong(None, told, [1, 9, 3, 4], 0, size) == 2


def test_what_does_not_exist_is_no_part(package, capsys):
    with pytest.raises(SystemExit):
        part(package, "__main__").main(["--only", "compute,speed"])
    assert "speed is none of compute, agreement, together, links" in capsys.readouterr().err


def test_the_page_says_which_command_made_it(package):
    parts = ",".join(part(package, "run").PARTS)
    told = part(package, "__main__").meta
    assert told(argparse.Namespace(quick=False, only=parts))["command"] == "make bench-llm"
    assert told(argparse.Namespace(quick=True, only="links"))["command"] == "python -m benchmarks.llm --quick --only links"


def test_a_tiny_run_gets_from_its_export_to_its_page(package, tmp_path):
    run, links, page = (part(package, name) for name in ("run", "links", "page"))
    plan = run.Plan(
        shape=part(package, "models").Shape(name="tiny", **TINY),
        positions=64,
        precisions=("float32",),
        cuts=(1,),
        rounds=2,
        tokens=2,
        together_rounds=1,
        together_tokens=2,
    )
    bench = run.Bench(plan, tmp_path, lambda _: None)
    rows = bench.run(["compute", "together"])
    bundle = bench._bundle("float32", "1")
    agreements = part(package, "agreement").of_bundle_on(bundle, np.arange(40).reshape(2, 20), "numbers")
    rows += [{"model": "tiny", **row} for row in agreements]
    size = links.Size(prompt=8, tokens=4, links=["10mbit/5ms"])
    offered = [
        one for one in links.placements([bundle], None, tmp_path) if one.name in ("device alone", "split behind layer 1, int8")
    ]
    bench._begin("links", weights="float32", prompt=8, tokens=4, rounds=1)
    rows += links.medians(links.measure(offered, size, say=lambda _: None))
    meta = dict.fromkeys(("command", "date", "machine", "versions", "busy"), "") | bench.facts
    text = page.write(tmp_path, meta, [*rows, *part(package, "targets").judge(rows)]).read_text()
    agreements = {row["mode"]: row["agreement"] for row in agreements}
    assert agreements["fp16"] >= agreements["int8"] >= agreements["int4"]
    split = rows[-1]
    assert (split["placement"], split["passed_bytes"] > split["prompt_up"] > 8 * 32) == ("split behind layer 1, int8", True)
    assert split["token_up"] > 32
    assert "| 16 |" in text
    assert "| placement | 10mbit/5ms |" in text
    assert (tmp_path / page.PLOT).read_text().count("<rect") == 3
