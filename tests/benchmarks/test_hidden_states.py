"""The benchmark of hidden states, on a small model with random weights."""

import re
import subprocess
import sys

from tests.benchmarks.conftest import FOLDER
from tests.language_models import TEXT


def test_every_mode_has_a_row_and_head_and_probe_read_what_crossed(language_bundle, tmp_path):
    (tmp_path / "text").write_text(TEXT * 40)
    command = [
        sys.executable,
        FOLDER / "hidden_states.py",
        language_bundle.folder,
        tmp_path / "text",
        "--tokens",
        "128",
        "--read",
        "4",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=True)
    rows = re.findall(r"^\| `(\w+)` \| (\d+) \| ([\d.]+)% \| [\d.]+ \| (\d+)% \| ([\d.]+)% \|$", done.stdout, re.MULTILINE)
    assert [row[:2] for row in rows] == [("float32", "256"), ("fp16", "128"), ("int8", "68"), ("int4", "36")]
    assert float(rows[0][2]) == 100.0
    assert [row[3] for row in rows[:3]] == ["100"] * 3
    assert min(float(row[4]) for row in rows) > 50
