"""The page that promises what a hostile peer meets names a test for each promise."""

import re
from pathlib import Path

TESTS = Path(__file__).resolve().parents[2]
PAGE = TESTS.parent / "docs/hostile-input.md"


def test_every_promise_of_the_page_has_its_test():
    promised = re.findall(r"\| `(test_\w+)` \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    there = {
        name for path in TESTS.rglob("test_*.py") for name in re.findall(r"def (test_\w+)", path.read_text(encoding="utf-8"))
    }
    assert len(promised) > 40
    assert [name for name in promised if name not in there] == []
