"""The programs that are measured, as processes of their own: the same commands a user types."""

import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from isthmus.devices.link import LinkProfile
from isthmus.errors import DeviceError, TailUnavailable

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 15.0


class Program:
    """A command in a process; ends with the `with` block.

    Args:
        arguments: after the Python interpreter.
        ready: a pattern of a line on standard output; `start` waits for it and keeps the match.
        name: for messages.
    """

    def __init__(self, arguments: Sequence[str], *, ready: str, name: str) -> None:
        self._arguments = [sys.executable, *arguments]
        self._ready = re.compile(ready)
        self.name = name
        self.last_output = ""
        """What it printed after it was ready; there when the `with` block has ended."""
        self.match: re.Match[str]
        self._process: subprocess.Popen[str]
        self._errors: IO[str]

    def __enter__(self) -> Self:
        self._errors = tempfile.TemporaryFile("w+")
        self._process = subprocess.Popen(
            self._arguments, stdout=subprocess.PIPE, stderr=self._errors, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"}
        )
        try:
            self.match = self._wait_ready()
        except BaseException as error:
            self.__exit__(type(error), error, error.__traceback__)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout:
            self.last_output = self._process.stdout.read()
            self._process.stdout.close()
        self._errors.close()

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    def _wait_ready(self) -> re.Match[str]:
        assert self._process.stdout is not None
        late = threading.Timer(START_TIMEOUT_S, self._process.kill)
        late.start()
        try:
            for line in self._process.stdout:
                if found := self._ready.search(line):
                    return found
        finally:
            late.cancel()
        self._process.wait()
        raise TailUnavailable(f"{self.name} did not start (exit code {self._process.returncode}): {self._last_words()}")

    def _last_words(self) -> str:
        self._errors.seek(0)
        lines = self._errors.read().strip().splitlines()
        return lines[-1] if lines else "it said nothing"


def server(bundle: Path, *, instances: int = 1, extra: Sequence[str] = ()) -> Program:
    """`isthmus serve` on free loopback ports; the match has the groups `grpc` and `metrics`. `extra` are further arguments."""
    ports = ["--grpc-port", "0", "--metrics-port", "0"]
    arguments = ["-m", "isthmus", "serve", str(bundle), *ports, "--instances", str(instances), *extra]
    return Program(arguments, ready=r"^ready .*grpc=(?P<grpc>\S+) metrics=(?P<metrics>\S+)", name="isthmus serve")


def run_agent(arguments: Sequence[str], *, timeout_s: float) -> str:
    """`isthmus run ...` to its end; its standard output.

    Raises:
        DeviceError: it failed; carries its last line.
    """
    command = [sys.executable, "-m", "isthmus", "run", *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False)
    except subprocess.TimeoutExpired as error:
        raise DeviceError(f"isthmus run did not end within {timeout_s:.0f} s") from error
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines()
        raise DeviceError(f"isthmus run failed with exit code {done.returncode}: {lines[-1] if lines else 'it said nothing'}")
    return done.stdout


def shaper(target: str, link: LinkProfile) -> Program:
    """The shaper before `target` as a process; the match has the group `address`, `passed_bytes` reads its last words."""
    arguments = ["-m", "isthmus.devices.shaper", target, "--link", str(link), "--listen", "127.0.0.1:0"]
    return Program(arguments, ready=r"(?P<address>\d+\.\d+\.\d+\.\d+:\d+)", name="the link shaper")


def passed_bytes(ended: Program) -> int:
    """Bytes that an ended shaper let pass, both ways together: TCP payload, so HTTP/2 and gRPC included, IP headers not."""
    found = re.search(r"passed up_bytes=(\d+) down_bytes=(\d+)", ended.last_output)
    if not found:
        raise DeviceError(f"{ended.name} ended without its counters")
    return int(found[1]) + int(found[2])
