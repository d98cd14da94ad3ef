import pytest

from isthmus.bench import prediction
from isthmus.bench.content import Outcome
from isthmus.bench.results import Latency, Results, write_results
from isthmus.errors import ConfigError


def promise(outcomes: list[Outcome], **medians: float) -> Results:
    rows = [one.row for one in outcomes if one.row.placement in medians]
    return Results(
        meta={}, rows=tuple(row.model_copy(update={"latency_ms": Latency(p50=medians[row.placement])}) for row in rows)
    )


def test_what_both_have_is_compared_and_the_worst_is_named(outcomes: list[Outcome]):
    rows = [one.row for one in outcomes]
    local, split = rows[0].latency_ms.p50, rows[3].latency_ms.p50
    found = prediction.beside(promise(outcomes, local=local * 1.05, split=split * 2), rows)
    assert [(one.name, round(one.error, 9)) for one in found] == [("local", 0.05), ("split full over 1mbit/20ms", 1.0)]
    assert prediction.sentence(found).startswith(
        "The plan was within 10% of the measured median in 1 of 2 cells; the worst was split"
    )


def test_nothing_in_common_is_told(outcomes: list[Outcome]):
    assert "no cell in common" in prediction.sentence(prediction.beside(promise(outcomes), [outcomes[0].row]))


def test_a_plan_of_another_bundle_is_refused(outcomes: list[Outcome], tiny_bundle, tmp_path):
    write_results(tmp_path / "plan.json", promise(outcomes, local=1.0))
    with pytest.raises(ConfigError, match="is no plan of"):
        prediction.read_plan(tmp_path / "plan.json", tiny_bundle)
