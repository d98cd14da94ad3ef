"""An environment of its own for each peer, made from the package registry once and kept."""

import hashlib
import subprocess
import sys
from pathlib import Path

PEERS = Path(__file__).parent / "peers"
INSTALL_TIMEOUT_S = 900.0


class PeerUnavailable(Exception):
    """A peer cannot be installed or started; the message is for the page."""


def prepare(name: str, folder: Path, extra: tuple[str, ...]) -> Path:
    """The Python interpreter of a peer's environment; makes it if its requirements changed.

    Args:
        name: of the folder below `peers` with its requirements.txt.
        folder: where environments are kept.
        extra: further requirements, the same for all peers.

    Raises:
        PeerUnavailable: it cannot be installed; carries pip's last error.
    """
    requirements = PEERS / name / "requirements.txt"
    place = folder / name
    python, ready = place / "bin" / "python", place / "ready"
    wanted = hashlib.sha256(requirements.read_bytes() + "\n".join(extra).encode()).hexdigest()
    if ready.exists() and ready.read_text(encoding="ascii") == wanted:
        return python
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", str(requirements), *extra]
    for command in ([sys.executable, "-m", "venv", "--clear", str(place)], pip):
        _run(command)
    ready.write_text(wanted, encoding="ascii")
    return python


def _run(command: list[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise PeerUnavailable(f"installing took longer than {INSTALL_TIMEOUT_S:.0f} s") from error
    if done.returncode:
        raise PeerUnavailable(f"installing failed: {last_error(done.stderr)}")


def last_error(text: str) -> str:
    r"""The last line that names an error, or the last line.

    >>> last_error("ERROR: no such version\\nnotice: pip is old")
    'ERROR: no such version'
    """
    lines = [line for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if "error" in line.lower()]
    return (errors or lines or ["it said nothing"])[-1].strip()[:300]
