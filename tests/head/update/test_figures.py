import re
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from isthmus.head.update.figures import LOOKS, UpdateFigures
from isthmus.head.update.state import UpdateState

PAGE = (Path(__file__).resolve().parents[3] / "docs/metrics.md").read_text(encoding="utf-8")


def test_prometheus_reads_what_was_counted():
    figures = UpdateFigures()
    figures.looked("ready")
    figures.changed("begun")
    figures.received(7)
    text = figures.as_prometheus(UpdateState().stage("a" * 64).begin())
    samples = {(s.name, *s.labels.values()): s.value for family in text_string_to_metric_families(text) for s in family.samples}
    assert samples["isthmus_update_looks_total", "ready"] == samples["isthmus_update_changes_total", "begun"] == 1
    assert (samples["isthmus_update_received_bytes_total",], samples["isthmus_update_on_trial",]) == (7, 1)


def test_the_page_has_every_name_and_every_result():
    text = UpdateFigures().as_prometheus(UpdateState())
    for name in set(re.findall(r"^(isthmus_update_\w+)", text, re.MULTILINE)):
        assert f"| `{name}` |" in PAGE, name
    assert ", ".join(f"`{look}`" for look in LOOKS) in PAGE
