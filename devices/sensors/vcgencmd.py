"""`vcgencmd`, the program that asks the firmware of a Raspberry Pi."""

import subprocess
from pathlib import Path

from isthmus.errors import DeviceError

PROGRAM = "usr/bin/vcgencmd"
"""Below the root; tests put a program of theirs there."""
_TIMEOUT_S = 2.0
"""The firmware answers in milliseconds, or hangs."""


def is_there(root: Path = Path("/")) -> bool:
    """Whether this machine has it."""
    return (root / PROGRAM).exists()


def ask(question: str, *, root: Path = Path("/")) -> str:
    """Run it and give what it printed; bytes that are no ASCII become replacement characters.

    Raises:
        DeviceError: it is missing, hangs, or fails.
    """
    try:
        done = subprocess.run([root / PROGRAM, question], capture_output=True, timeout=_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise DeviceError(f"vcgencmd {question} gave no answer in {_TIMEOUT_S:g} s") from error
    except OSError as error:
        raise DeviceError(f"vcgencmd cannot be run: {error.strerror}; it comes with Raspberry Pi OS") from error
    if done.returncode:
        words = (done.stderr or done.stdout).decode("ascii", errors="replace").strip()
        advice = "add the user to the group video: usermod -aG video USER"
        raise DeviceError(f"vcgencmd {question} failed with {done.returncode}: {words[:120] or 'no message'}; {advice}")
    return done.stdout.decode("ascii", errors="replace")
