"""Commands that print JSON, as processes of their own."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
TIMEOUT_S = 900.0


def json_of(arguments: Sequence[str]) -> dict[str, Any]:
    """What a command of this Python prints, behind whatever it logs before.

    Args:
        arguments: after the interpreter.

    Raises:
        RuntimeError: it failed; carries its last line.
    """
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, timeout=TIMEOUT_S, cwd=ROOT, check=False)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"it ended with {done.returncode} and said nothing"]
        raise RuntimeError(f"{' '.join(arguments).removeprefix('-m ')}: {lines[-1]}")
    told: dict[str, Any] = json.loads(done.stdout[done.stdout.index("{") :])
    return told
