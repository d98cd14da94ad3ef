"""The verdict does not recommend on noise."""

from isthmus.bench import verdict
from isthmus.bench.content import Outcome
from isthmus.bench.results import Latency
from isthmus.contract.metric import proportion
from isthmus.devices.sensors.load import Load
from isthmus.devices.steadiness import State, compare


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


def _state(busy_s: float) -> State:
    load = Load(total_s=busy_s * 2, busy_s=busy_s, stolen_s=0.0, own_s=0.0, average=None)
    hidden = dict.fromkeys(("clock_mhz", "clock_limit_mhz", "temperature_c", "throttling", "memory_waited_s"))
    return State(time_s=0.0, governors=(), load=load, memory_available_bytes=None, **hidden)


def test_a_run_on_a_busy_machine_is_called_no_result_first_of_all() -> None:
    [said] = verdict.steadiness_sentences(compare(_state(0.0), _state(10.0)))
    assert said.startswith("This run is unsteady, a trial and no result: other programs took 50%")


def test_a_steady_run_needs_no_words() -> None:
    assert verdict.steadiness_sentences(compare(_state(0.0), _state(0.0))) == []
    assert verdict.steadiness_sentences(None) == []


def test_a_split_of_more_bytes_than_the_picture_does_not_send_fewer(outcomes: list[Outcome]) -> None:
    rows = [one.row for one in outcomes]
    [split] = [row for row in rows if row.placement == "split"]
    smallest = min(row.bytes_payload_mean for row in rows if row.placement == "offload")
    said = verdict.sentences([*rows[:-1], split.model_copy(update={"bytes_payload_mean": smallest * 3})])
    assert "3.0 times as many as" in said[-1]
