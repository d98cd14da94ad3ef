"""A server as a process: its output in a file, its CPU time with that of all its children."""

import contextlib
import os
import signal
import socket
import subprocess
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

STOP_TIMEOUT_S = 10.0


class ServerProcess:
    """A command in a session of its own; ends, with all that it started, with the `with` block.

    Args:
        command: what is run.
        folder: where.
        environment: besides this process's own.
        log: file for everything it prints.
    """

    def __init__(self, command: Sequence[str], *, folder: Path, environment: Mapping[str, str], log: Path) -> None:
        self._command = list(command)
        self._folder = folder
        self._environment = {**os.environ, **environment}
        self.log = log
        self._process: subprocess.Popen[bytes]

    def __enter__(self) -> Self:
        with self.log.open("wb") as output:
            self._process = subprocess.Popen(
                self._command,
                cwd=self._folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        family = tree(self.pid)
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(STOP_TIMEOUT_S)
        for member in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                member.kill()
        psutil.wait_procs(family, STOP_TIMEOUT_S)

    @property
    def pid(self) -> int:
        """Of the first process."""
        return self._process.pid

    @property
    def ended(self) -> int | None:
        """Its exit code, None while it runs."""
        return self._process.poll()

    def last_words(self) -> str:
        """The last line it printed, for the reader of a failure."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return lines[-1][:300] if lines else "it said nothing"


def tree(pid: int) -> list[psutil.Process]:
    """A process and all that it started; empty when it is gone."""
    try:
        first = psutil.Process(pid)
        return [first, *first.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


@contextlib.contextmanager
def frozen(pids: Collection[int]) -> Iterator[None]:
    """Stop processes, and all that they started, for the time of the `with` block: they take nothing from who is measured."""
    members = [member for pid in pids for member in tree(pid)]
    try:
        for member in members:
            with contextlib.suppress(psutil.NoSuchProcess):
                member.suspend()
        yield
    finally:
        for member in members:
            with contextlib.suppress(psutil.NoSuchProcess):
                member.resume()


class CpuClock:
    """User and system time of a process and all its children, from now on."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._before = _times(pid)

    def spent_s(self) -> float:
        """What was spent since; of children that ended meanwhile only what their parent had counted is lost."""
        return sum(spent - self._before.get(pid, 0.0) for pid, spent in _times(self._pid).items())


def _times(pid: int) -> dict[int, float]:
    found = {}
    for process in tree(pid):
        with contextlib.suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            found[process.pid] = times.user + times.system
    return found


def free_ports(count: int) -> list[int]:
    """Ports of loopback that nobody listened on a moment ago, in a row from the first on."""
    while True:
        with contextlib.ExitStack() as stack:
            first = stack.enter_context(socket.create_server(("127.0.0.1", 0))).getsockname()[1]
            ports = range(first, first + count)
            with contextlib.suppress(OSError, OverflowError):
                for port in ports[1:]:
                    stack.enter_context(socket.create_server(("127.0.0.1", port)))
                return list(ports)
