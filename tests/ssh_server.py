"""An sshd of the test's own on loopback: one key opens it, and its commands find this isthmus."""

import os
import shlex
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Self

SSHD = shutil.which("sshd") or shutil.which("sshd", path="/usr/sbin:/usr/local/sbin")
START_TIMEOUT_S = 10.0
_PRIVILEGE_FOLDER = Path("/run/sshd")
"""Where sshd wants an empty folder when root starts it."""


class SshServer:
    """Runs as whoever runs the test, who is also the one that may log in.

    Args:
        folder: for keys and settings.
        commands: names that commands over ssh find, and what they are here.
    """

    def __init__(self, folder: Path, commands: dict[str, list[str]]) -> None:
        self._folder = folder
        self._made_folder = False
        for name in ("host", "client"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
        (folder / "authorized").write_bytes((folder / "client.pub").read_bytes())
        programs = folder / "bin"
        programs.mkdir()
        for name, words in commands.items():
            kept = " ".join(
                f"{key}={shlex.quote(os.environ[key])}" for key in ("PYTHONPATH", "ISTHMUS_CACHE") if key in os.environ
            )
            (programs / name).write_text(f'#!/bin/sh\nexec env {kept} {shlex.join(words)} "$@"\n')
            (programs / name).chmod(0o755)
        with socket.create_server(("127.0.0.1", 0)) as taken:
            self.port = taken.getsockname()[1]
        self._write_settings(f"{programs}:/usr/bin:/bin")

    def _write_settings(self, path: str) -> None:
        folder = self._folder
        (folder / "sshd_config").write_text(
            f"Port {self.port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/authorized\n"
            f"StrictModes no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nPidFile none\nSetEnv PATH={path}\n"
        )
        (folder / "known").write_text(f"[127.0.0.1]:{self.port} {(folder / 'host.pub').read_text()}")
        (folder / "ssh_config").write_text(
            f"Host device\n  HostName 127.0.0.1\n  Port {self.port}\n  IdentityFile {folder}/client\n  IdentitiesOnly yes\n"
            f"  UserKnownHostsFile {folder}/known\n  GlobalKnownHostsFile /dev/null\n"
        )

    @property
    def command(self) -> str:
        """What `ssh` is for this server."""
        return f"ssh -F {self._folder / 'ssh_config'}"

    def __enter__(self) -> Self:
        assert SSHD is not None
        if os.geteuid() == 0 and not _PRIVILEGE_FOLDER.exists():
            _PRIVILEGE_FOLDER.mkdir(mode=0o755)
            self._made_folder = True
        self._log = (self._folder / "log").open("w+")
        self._process = subprocess.Popen([SSHD, "-D", "-e", "-f", self._folder / "sshd_config"], stderr=self._log)
        self._wait()
        return self

    def _wait(self) -> None:
        until = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < until and self._process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                time.sleep(0.02)
            else:
                return
        self._log.seek(0)
        raise AssertionError(f"sshd did not start: {self._log.read()[-500:]}")

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait()
        self._log.close()
        if self._made_folder:
            _PRIVILEGE_FOLDER.rmdir()


THIS_ISTHMUS = [sys.executable, "-m", "isthmus"]
