"""What machine this is.

Everything is read below a root, so that tests give a fake tree. onnxruntime and OpenCV are imported in a process of their
own: a wheel built for a newer instruction set kills the importing process (SIGILL) on old CPUs, it does not raise.
"""

import json
import os
import platform
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from isthmus.errors import DeviceError

# A cold import from an SD card takes seconds; longer than this is a machine that will not run a head.
PROBE_TIMEOUT_S = 30.0

# Arm kernels give numbers instead of names. Implementer 0x41, from Arm's Main ID Register tables.
_ARM_PARTS = {
    "0xb76": "ARM1176",
    "0xc07": "Cortex-A7",
    "0xd03": "Cortex-A53",
    "0xd04": "Cortex-A35",
    "0xd05": "Cortex-A55",
    "0xd07": "Cortex-A57",
    "0xd08": "Cortex-A72",
    "0xd09": "Cortex-A73",
    "0xd0a": "Cortex-A75",
    "0xd0b": "Cortex-A76",
    "0xd0c": "Neoverse-N1",
    "0xd40": "Neoverse-V1",
    "0xd41": "Cortex-A78",
    "0xd42": "Cortex-A78AE",
    "0xd49": "Neoverse-N2",
    "0xd4f": "Neoverse-V2",
}

_ONNXRUNTIME = (
    "import json, onnxruntime as o; print(json.dumps({'version': o.__version__, 'providers': o.get_available_providers()}))"
)
_OPENCV = "import json, cv2; print(json.dumps({'version': cv2.__version__, 'providers': []}))"


@dataclass(frozen=True, slots=True, kw_only=True)
class Library:
    """What importing a library in a process of its own showed.

    Attributes:
        version: None when it is not installed or cannot be imported.
        providers: execution providers, best first; empty for libraries that have none.
        problem: why an installed library cannot be imported, else None.
    """

    version: str | None
    providers: tuple[str, ...] = ()
    problem: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """One machine.

    Attributes:
        architecture: as `uname -m` says it, for example `aarch64`.
        cpu_model: the CPU's name, or `unknown`.
        board: see `board`.
        cores: cores this process may use.
        memory_bytes: physical memory the kernel manages.
        operating_system: PRETTY_NAME of os-release, or `unknown`.
        kernel: release of the running kernel, or `unknown`.
        python: version of this interpreter.
        onnxruntime: version, None when it is missing or does not start here.
        onnxruntime_providers: its execution providers, best first; None as above.
        onnxruntime_problem: why an installed onnxruntime does not start, else None.
        opencv: version, None when it is missing or does not start here.
    """

    architecture: str
    cpu_model: str
    board: str | None
    cores: int
    memory_bytes: int
    operating_system: str
    kernel: str
    python: str
    onnxruntime: str | None
    onnxruntime_providers: tuple[str, ...] | None
    onnxruntime_problem: str | None
    opencv: str | None


def detect(root: Path = Path("/")) -> Machine:
    """Describe the machine whose `proc` and `etc` lie below `root`.

    Args:
        root: the file system to read; architecture, Python and libraries are always those of the running process.

    Returns:
        The machine.

    Raises:
        DeviceError: `proc/meminfo` or `proc/cpuinfo` cannot be read, so this is not Linux.
    """
    cpu_lines = _read_pairs(root / "proc/cpuinfo")
    onnxruntime = probe(_ONNXRUNTIME)
    return Machine(
        architecture=platform.machine(),
        cpu_model=_cpu_model(cpu_lines),
        board=board(root),
        cores=len(os.sched_getaffinity(0)) if root == Path("/") else _count_processors(cpu_lines),
        memory_bytes=_memory_bytes(root / "proc/meminfo"),
        operating_system=_operating_system(root),
        kernel=_read_optional(root / "proc/sys/kernel/osrelease") or "unknown",
        python=platform.python_version(),
        onnxruntime=onnxruntime.version,
        onnxruntime_providers=None if onnxruntime.version is None else onnxruntime.providers,
        onnxruntime_problem=onnxruntime.problem,
        opencv=probe(_OPENCV).version,
    )


def board(root: Path = Path("/")) -> str | None:
    """A single-board computer's name from its device tree, or from `cpuinfo` where a container hides that; else None."""
    named = _read_optional(root / "proc/device-tree/model")
    if named is not None:
        return named
    try:
        return dict(_read_pairs(root / "proc/cpuinfo")).get("Model")
    except DeviceError:
        return None


def probe(program: str, *, timeout_s: float = PROBE_TIMEOUT_S) -> Library:
    """Run a program that imports a library and prints `{"version": str, "providers": [str]}` as its last line.

    Args:
        program: Python source.
        timeout_s: after this many seconds the process is killed and the library counts as unusable.

    Returns:
        What it printed; without a version when the library is missing (no problem then), crashes, raises or hangs.
    """
    try:
        command = [sys.executable, "-P", "-c", program]
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False)
    except subprocess.TimeoutExpired:
        return Library(version=None, problem=f"import took longer than {timeout_s:g} s")
    if done.returncode < 0:
        return Library(version=None, problem=f"import was killed by {signal.Signals(-done.returncode).name}")
    if done.returncode > 0:
        last_line = (done.stderr.strip().splitlines() or ["no message"])[-1]
        return Library(version=None, problem=None if last_line.startswith("ModuleNotFoundError") else last_line)
    facts = json.loads(done.stdout.splitlines()[-1])
    return Library(version=facts["version"], providers=tuple(facts["providers"]))


def _read_pairs(path: Path) -> list[tuple[str, str]]:
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as exc:
        raise DeviceError(f"cannot read {path}: {exc.strerror}; Isthmus describes Linux machines only") from exc
    return [(name.strip(), value.strip()) for name, colon, value in (line.partition(":") for line in lines) if colon]


def _read_optional(path: Path) -> str | None:
    try:
        # Device-tree strings end with a zero byte.
        return path.read_text(encoding="utf-8", errors="replace").strip("\0\n ") or None
    except OSError:
        return None


def _cpu_model(cpu_lines: list[tuple[str, str]]) -> str:
    facts = dict(reversed(cpu_lines))
    if "model name" in facts:
        return facts["model name"]
    if facts.get("CPU implementer") == "0x41" and "CPU part" in facts:
        return _ARM_PARTS.get(facts["CPU part"], f"Arm part {facts['CPU part']}")
    return facts.get("Hardware", "unknown")


def _count_processors(cpu_lines: list[tuple[str, str]]) -> int:
    return max(1, sum(name == "processor" for name, _ in cpu_lines))


def _memory_bytes(path: Path) -> int:
    total = dict(_read_pairs(path)).get("MemTotal", "")
    amount = total.removesuffix("kB").strip()
    if not amount.isdecimal():
        raise DeviceError(f"{path} says MemTotal is {total!r}, not a number of kB")
    return int(amount) * 1024


def _operating_system(root: Path) -> str:
    # os-release(5): the second path is the fallback.
    for path in (root / "etc/os-release", root / "usr/lib/os-release"):
        for line in (_read_optional(path) or "").splitlines():
            name, _, value = line.partition("=")
            if name == "PRETTY_NAME":
                return value.strip("\"' ")
    return "unknown"
