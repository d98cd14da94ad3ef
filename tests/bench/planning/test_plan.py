import json

import pytest

from isthmus.bench.planning import advice, chart, plan
from isthmus.bench.results import Results
from isthmus.contract.metric import Metric
from isthmus.devices import link as links
from isthmus.errors import UsageError


@pytest.fixture
def planned(tiny_bundle, make_known):
    def make(*texts, drop=0.01, load=0.0, **how):
        known, sides = make_known(tiny_bundle, **how)
        return plan.make(tiny_bundle, known, sides, [links.parse(text) for text in texts], accuracy_drop=drop, load=load)

    return make


@pytest.mark.parametrize(
    ("link", "how", "words"),
    [
        ("5mbit/20ms", {}, "split at the point all"),
        ("5mbit/100ms", {}, "run it locally (whole.onnx)"),
        ("1gbit/20ms", {"split": 0.8}, "send the picture (jpeg-75)"),
        ("5mbit/100ms", {"drop": 0.2}, "run it locally"),
    ],
)
def test_the_verdict_may_be_any_placement(planned, link, how, words):
    [found] = planned(link, **how).links
    assert found.verdict.startswith(f"Over {link}: {words}")


def test_the_quickest_is_chosen_among_those_that_are_accurate_enough(planned):
    [strict], [loose] = planned("1mbit/20ms").links, planned("1mbit/20ms", drop=0.15).links
    assert (strict.best.candidate.setting, loose.best.candidate.setting) == ("all", "half")
    assert (
        min(one.latency.value for one in strict.forecasts if one.candidate.setting in ("all", "jpeg-75", "whole"))
        == strict.best.latency.value
    )


def test_rivals_are_told_with_the_reason(planned):
    [found] = planned("5mbit/20ms").links
    assert "The device alone (whole) takes" in found.verdict
    assert "more on the device" in found.verdict
    assert "The picture (" in found.verdict


def test_what_the_link_cannot_carry_is_no_rival(planned):
    [found] = planned("4kbit/20ms").links
    assert "The picture" not in found.verdict


def test_near_ties_are_said_to_be_such(planned):
    [found] = planned("1gbit/20ms").links
    assert found.verdict.startswith("Over 1gbit/20ms: send the picture (jpeg-75)")
    assert "split all within 10%: a plan cannot tell them apart" in found.verdict


def test_where_nothing_is_good_enough_that_is_said():
    unsplit = Metric(name="accuracy", value=0.9, low=0.88, high=0.92)
    words = advice.verdict(links.parse("1mbit/20ms"), [], wanted=0.89, unsplit=unsplit)
    assert "nothing reaches 89.0% accuracy" in words


def test_ranges_cover_what_was_tried_and_change_where_the_choice_does(planned):
    [found] = planned("5mbit/20ms").links
    by_trip = [one for one in found.ranges if one.quantity == "round_trip_s"]
    assert (by_trip[0].start, by_trip[-1].end) == (0.0, 0.5)
    assert [one.best.placement for one in by_trip] == ["split", "local"]
    sentences = advice.ranges(found.ranges)
    assert any(sentence.startswith("By round trip: split all up to") for sentence in sentences)


def test_results_are_those_of_every_result_file_with_a_verdict(planned):
    made = planned("1mbit/20ms", "5mbit/100ms")
    results = plan.as_results(made, "isthmus plan B")
    again = Results.model_validate(json.loads(results.model_dump_json()))
    assert again == results
    assert "run it locally" in results.meta["verdict"]
    assert [entry["best"]["placement"] for entry in results.meta["links"]] == ["split", "local"]
    assert [row.placement for row in results.rows].count("local") == 1
    assert {row.model_extra["best"] for row in results.rows if row.link is None} == {False}


def test_a_server_without_room_is_a_usage_error(planned):
    with pytest.raises(UsageError, match="leaves no room"):
        planned("1mbit/20ms", load=1.0)


def test_the_picture_is_an_svg_that_names_every_curve(planned):
    made = planned("1mbit/20ms", "5mbit/100ms")
    drawn = chart.draw("tiny", made.links)
    assert drawn.startswith("<svg xmlns")
    assert all(f">{name}<" in drawn for name in ("local whole", "split all", "split half", "split cut 3"))
    assert drawn.count('class="here"') == 2
