"""The verdict does not recommend on noise."""

from isthmus.bench import verdict
from isthmus.bench.content import Outcome
from isthmus.bench.results import Latency
from isthmus.contract.metric import proportion


def _rows(outcomes: list[Outcome], right: dict[str, int]) -> list:
    rows = []
    for name, median in (("local", 2.0), ("offload", 60.0), ("split", 30.0)):
        row = next(one.row for one in outcomes if one.row.placement == name)
        changed = {"metric": proportion("accuracy", right[name], 51), "latency_ms": Latency(p50=median)}
        rows.append(row.model_copy(update=changed))
    return rows


def test_one_frame_of_fifty_does_not_beat_the_device(outcomes: list[Outcome]) -> None:
    said = verdict.sentences(_rows(outcomes, {"local": 46, "offload": 47, "split": 46}))
    assert said[0].startswith("Do not split")


def test_a_device_that_is_clearly_worse_is_not_recommended(outcomes: list[Outcome]) -> None:
    said = verdict.sentences(_rows(outcomes, {"local": 20, "offload": 47, "split": 46}))
    assert said[0].startswith("Split")


def test_where_only_the_picture_is_right_the_picture_is_sent(outcomes: list[Outcome]) -> None:
    said = verdict.sentences(_rows(outcomes, {"local": 20, "offload": 50, "split": 25}))
    assert said[0].startswith("Send the picture")
