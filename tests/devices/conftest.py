import shlex
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest


def _echo(connection: socket.socket) -> None:
    with connection:
        try:
            while data := connection.recv(65536):
                connection.sendall(data)
        except OSError:
            return


@pytest.fixture
def echo() -> Iterator[str]:
    """`host:port` of a server that sends back what it gets, and closes a connection once the client has half-closed it."""
    threads: list[threading.Thread] = []

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threads.append(threading.Thread(target=_echo, args=(connection,)))
            threads[-1].start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = threading.Thread(target=serve)
        server.start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
        server.join()
    for thread in threads:
        thread.join()


@pytest.fixture
def nowhere() -> Iterator[str]:
    """`host:port` where nothing listens, and which nobody else is given meanwhile."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{bound.getsockname()[1]}"


@pytest.fixture
def tree(tmp_path: Path) -> Callable[[dict[str, object]], Path]:
    """A function that writes files below a root that stands for /, and gives the root."""

    def write(files: dict[str, object]) -> Path:
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text if isinstance(text, bytes) else f"{text}\n".encode())
        return tmp_path

    return write


@pytest.fixture
def vcgencmd(tmp_path: Path) -> Callable[..., Path]:
    """A function that puts a program in place of `vcgencmd`, which prints what it is given for a question; gives the root."""

    def install(answers: dict[str, str], *, exit_code: int = 0) -> Path:
        program = tmp_path / "usr/bin/vcgencmd"
        program.parent.mkdir(parents=True, exist_ok=True)
        cases = "".join(f"{question}) printf '%b' {shlex.quote(answer)};;\n" for question, answer in answers.items())
        program.write_text(
            f'#!/bin/sh\ncase "$1" in\n{cases}*) echo error=1 error_msg="Command not registered";;\nesac\nexit {exit_code}\n'
        )
        program.chmod(0o755)
        return tmp_path

    return install
