import json

import pytest

from isthmus.bench.evaluation import Evaluation, read
from isthmus.bench.rival_chart import against_bytes, against_time
from isthmus.errors import ConfigError


def test_what_was_written_is_read(evaluation: Evaluation, tmp_path):
    (tmp_path / "evaluation.json").write_text(evaluation.model_dump_json())
    assert read(tmp_path) == evaluation


def test_a_bundle_without_one_has_none(tmp_path):
    assert read(tmp_path) is None


@pytest.mark.parametrize("value", [None, [], {}, {"rows": [{"bytes_mean": -1}]}, {"rows": "many"}])
def test_what_is_no_evaluation_is_one_line_of_ours(tmp_path, value):
    (tmp_path / "evaluation.json").write_text("no JSON" if value is None else json.dumps(value))
    with pytest.raises(ConfigError, match=r"evaluation\.json cannot be read") as caught:
        read(tmp_path)
    assert "\n" not in str(caught.value)


def test_each_kind_of_rival_is_a_curve_of_its_own(evaluation: Evaluation):
    names = [key.words for key in against_bytes(evaluation.rows).keys]
    assert names == ["split", "local", "jpeg", "jpeg 224x224", "webp", "webp 224x224"]


def test_only_what_runs_on_the_device_has_a_time_there(evaluation: Evaluation):
    chart = against_time(evaluation.rows)
    assert chart is not None
    assert [key.words for key in chart.keys] == ["split", "local"]
    assert against_time(evaluation.rows[:1]) is None
