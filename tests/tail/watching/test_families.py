import re
from pathlib import Path

import pytest

from isthmus.tail.watching.families import FAMILIES, table
from isthmus.tail.watching.metrics import ENDINGS, REFUSALS

PAGE = (Path(__file__).resolve().parents[3] / "docs/metrics.md").read_text(encoding="utf-8")


def test_the_page_has_the_table():
    assert "\n".join(table()) in PAGE, "put the output of `python -m isthmus.tail.watching.families` into docs/metrics.md"


@pytest.mark.parametrize("reasons", [ENDINGS, REFUSALS])
def test_the_page_has_every_reason(reasons):
    assert ", ".join(f"`{reason}`" for reason in reasons) in re.sub(r" \([^)]*\)", "", PAGE)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_names_end_in_their_unit_and_help_is_a_sentence(family):
    assert re.fullmatch(r"isthmus_[a-z_]+", family.name)
    assert family.name.endswith("_total") == (family.kind == "counter")
    assert family.kind != "histogram" or family.name.endswith(("_seconds", "_bytes"))
    assert family.help.endswith(".")
