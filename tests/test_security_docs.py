"""docs/security.md, as somebody would follow it: its shell lines are run, and what they made lets a device in."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from isthmus.bench import programs
from isthmus.tail.security.scopes import METHODS, Scope

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs/security.md").read_text(encoding="utf-8")


def line_of(command):
    """Options of the last line of the page that has this command."""
    return shlex.split(re.findall(rf"^ {{4}}isthmus {command} B (.*)$", PAGE, re.MULTILINE)[-1])


@pytest.fixture
def followed(tmp_path, monkeypatch):
    """The working folder after all shell lines of the page were run."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    monkeypatch.chdir(tmp_path)
    shim = tmp_path / "bin/isthmus"
    shim.parent.mkdir()
    shim.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m isthmus "$@"\n')
    shim.chmod(0o755)
    monkeypatch.setenv("PATH", str(shim.parent), prepend=":")
    for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL):
        done = subprocess.run(["sh", "-e", "-c", block], capture_output=True, text=True, timeout=120, check=False, input="")
        assert done.returncode == 0, f"{block}\n{done.stderr}"
    return tmp_path


@pytest.mark.slow
def test_who_follows_the_page_has_a_server_that_lets_the_device_in_and_nobody_else(followed, make_tiny_bundle, pictures):
    bundle = str(make_tiny_bundle().folder)

    def device(tail, *more):
        options = line_of("run")
        options[options.index("SRC")], options[options.index("localhost:8001")] = str(pictures), tail
        command = [sys.executable, "-m", "isthmus", "run", bundle, *options, *more, "--check"]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)

    with programs.server(Path(bundle), extra=[*line_of("serve"), "--tls-client-ca", "devices.pem"]) as server:
        tail = server.match["grpc"].replace("127.0.0.1", "localhost")
        refused = device(tail, "--tls-cert", "camera-1.crt", "--tls-key", "camera-1.key")
        assert (refused.returncode, "was revoked by its authority" in refused.stderr) == (3, True)
    with programs.server(Path(bundle), extra=line_of("serve")) as server:
        done = device(server.match["grpc"].replace("127.0.0.1", "localhost"))
        assert (done.returncode, "are in order" in done.stdout) == (0, True), done.stderr


def test_every_scope_and_every_open_call_is_in_the_table():
    assert [scope for scope in Scope if f"| `{scope}` |" not in PAGE] == []
    [open_] = re.findall(r"^\| none \|.*$", PAGE, re.MULTILINE)
    opened = {method for method, scope in METHODS.items() if scope is None}
    assert all(f"`{method.split('/')[1]}`" in open_ or f"`{method.split('/')[2]}`" in open_ for method in opened)
