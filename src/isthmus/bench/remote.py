"""`isthmus bench` on other devices, over the system's ssh: bundle and source go there, the results come home.

Nothing is installed there and nothing asks for a password: the device needs isthmus on the PATH of a command that ssh runs, and a
key that opens it. What comes back is read like any file from outside: a few known names, no larger than a limit.
"""

import contextlib
import io
import re
import shlex
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from isthmus.errors import ConfigError, DeviceError, IsthmusError, UsageError

SSH = ("ssh",)
QUIET = ("-o", "BatchMode=yes", "-o", "ConnectTimeout=10")
"""Never ask: nobody may be there to answer."""
UNREACHABLE = 255
"""What ssh ends with when it fails itself; every other code is the command's."""
NO_SUCH_COMMAND = 127
_HOST = re.compile(r"(?:[A-Za-z0-9_][\w.-]*@)?[A-Za-z0-9_\[][\w.:%\[\]-]*", re.ASCII)
"""Nothing that ssh could take for an option."""
_FOLDER = re.compile(r"/[\w./-]+", re.ASCII)
_HOME = re.compile(
    r"\./results/(results\.json|results\.csv|samples\.csv|report\.html)|\./bundle/([\w-][\w.-]*\.costs[\w.-]*\.json)", re.ASCII
)
"""Files that are brought home."""
_FIND = "find . -type f '(' -path './results/*' -o -name '*.costs*.json' ')' | tar -cf - -T -"
_BYTES_MAX = 256 * 1024 * 1024
"""Of all that comes back; an hour of samples is some 10 MB."""
_CHUNK_BYTES = 1 << 20
_BELT = "belt:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is to be measured elsewhere.

    Attributes:
        bundle: copied there.
        source: copied there where it is a file or a folder here; else a source of the device, as `camera:0`.
        options: the other arguments of `isthmus bench`, as they are typed.
    """

    bundle: Path
    source: str
    options: Sequence[str] = ()


def parse_hosts(text: str) -> list[str]:
    """Read `user@host,user@host`.

    >>> parse_hosts("pi@kitchen, nano")
    ['pi@kitchen', 'nano']

    Raises:
        UsageError: there is none, one is none, or one is there twice.
    """
    hosts = [host.strip() for host in text.split(",") if host.strip()]
    wrong = [host for host in hosts if not _HOST.fullmatch(host)]
    if wrong or not hosts or len(set(hosts)) < len(hosts):
        raise UsageError(f"--on {text!r} is not a list of different hosts; write user@host,user@host")
    return hosts


def run(
    hosts: Sequence[str],
    order: Order,
    output: Path,
    *,
    ssh: Sequence[str] = SSH,
    on_line: Callable[[str, str], None] = lambda _host, _line: None,
) -> dict[str, Path | IsthmusError]:
    """Measure on all hosts at the same time.

    Args:
        hosts: see `parse_hosts`.
        order: what is measured.
        output: a folder for each host is made in it.
        ssh: the command with its own options.
        on_line: called with host and line for everything that is said there; from several threads.

    Returns:
        Host -> folder with its results, or why there are none.
    """

    def measure(host: str) -> Path | IsthmusError:
        try:
            return _Device(host, (*ssh, *QUIET)).measure(order, output / re.sub(r"[^\w.@-]", "_", host), on_line)
        except IsthmusError as error:
            return error

    with ThreadPoolExecutor(len(hosts), thread_name_prefix="device") as pool:
        return dict(zip(hosts, pool.map(measure, hosts), strict=True))


class _Device:
    """One host."""

    def __init__(self, host: str, ssh: Sequence[str]) -> None:
        self._host = host
        self._ssh = ssh

    def measure(self, order: Order, target: Path, on_line: Callable[[str, str], None]) -> Path:
        version = self._ask(["isthmus", "--version"]).strip()
        on_line(self._host, version)
        with self._folder() as folder:
            self._send(order.bundle, f"{folder}/bundle")
            if (source := _file_of(order.source)) is not None:
                self._send(source, f"{folder}/source")
            self._bench(order, folder, on_line)
            self._fetch(folder, target)
        return target

    def _bench(self, order: Order, folder: str, on_line: Callable[[str, str], None]) -> None:
        words = ["isthmus", "bench", f"bundle/{order.bundle.resolve().name}", "--output", "results"]
        words += ["--source", _source_there(order.source), *order.options]
        command = [*self._ssh, self._host, f"cd {shlex.quote(folder)} && exec {shlex.join(words)}"]
        with subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors="replace"
        ) as process:
            last = ""
            for line in process.stderr or ():
                last = line.strip() or last
                on_line(self._host, line.rstrip())
        if process.returncode:
            raise self._failed(process.returncode, last, f"isthmus bench failed with exit code {process.returncode}")

    @contextlib.contextmanager
    def _folder(self) -> Iterator[str]:
        """A folder over there, removed in the end."""
        folder = self._ask(["mktemp", "-d"]).strip()
        if not _FOLDER.fullmatch(folder):
            raise DeviceError(f"{self._host}: mktemp gave {folder[:200]!r}, which is no path")
        try:
            yield folder
        finally:
            with contextlib.suppress(IsthmusError):
                self._ask(["rm", "-rf", folder])

    def _send(self, path: Path, folder: str) -> None:
        """Copy a file or a folder, packed on the way."""
        command = [*self._ssh, self._host, f"mkdir {shlex.quote(folder)} && tar -C {shlex.quote(folder)} -xf -"]
        with tempfile.TemporaryFile() as words, subprocess.Popen(command, stdin=subprocess.PIPE, stderr=words) as process:
            assert process.stdin is not None
            with contextlib.suppress(BrokenPipeError), tarfile.open(fileobj=process.stdin, mode="w|") as packed:
                packed.add(path.resolve(), arcname=path.resolve().name)
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()
            code = process.wait()
            words.seek(0)
            said = words.read().decode(errors="replace")
        if code:
            raise self._failed(code, said, f"{path} was not copied")

    def _fetch(self, folder: str, target: Path) -> None:
        """Bring known files home, and nothing else that an archive could hold."""
        command = [*self._ssh, self._host, f"cd {shlex.quote(folder)} && {_FIND}"]
        packed = io.BytesIO()
        with (
            tempfile.TemporaryFile() as words,
            subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=words) as process,
        ):
            while process.stdout and (chunk := process.stdout.read(_CHUNK_BYTES)):
                packed.write(chunk)
                if packed.tell() > _BYTES_MAX:
                    process.kill()
                    raise DeviceError(f"{self._host} sends more than {_BYTES_MAX} bytes of results")
            code = process.wait()
            words.seek(0)
            said = words.read().decode(errors="replace")
        if code:
            raise self._failed(code, said, "the results were not fetched")
        _unpack(packed.getvalue(), target, self._host)

    def _ask(self, words: Sequence[str]) -> str:
        done = subprocess.run(
            [*self._ssh, self._host, shlex.join(words)], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise self._failed(done.returncode, done.stderr, f"`{shlex.join(words)}` failed with exit code {done.returncode}")
        return done.stdout

    def _failed(self, code: int, said: str, what: str) -> DeviceError:
        last = (said.strip().splitlines() or ["it said nothing"])[-1][:300]
        if code == UNREACHABLE:
            return DeviceError(f"{self._host} cannot be reached over ssh: {last}")
        if code == NO_SUCH_COMMAND:
            return DeviceError(
                f"{self._host} has no isthmus for commands over ssh ({last}); there: pip install 'isthmus[head,tail,bench]', "
                f"and see that `ssh {self._host} isthmus --version` answers"
            )
        return DeviceError(f"{self._host}: {what}: {last}")


def _file_of(source: str) -> Path | None:
    """The file or folder of a source; None for a camera and the like."""
    path = Path(source.removeprefix(_BELT))
    return path if path.exists() and not path.is_char_device() else None


def _source_there(source: str) -> str:
    path = _file_of(source)
    if path is None:
        return source
    belt = _BELT if source.startswith(_BELT) else ""
    return f"{belt}source/{path.resolve().name}"


def _unpack(packed: bytes, target: Path, host: str) -> None:
    """Write the files that are known by name.

    Raises:
        DeviceError: this is no archive, or the results are not in it.
        ConfigError: they cannot be written.
    """
    names = set()
    try:
        target.mkdir(parents=True, exist_ok=True)
        with tarfile.open(fileobj=io.BytesIO(packed), mode="r:") as archive:
            for member in archive:
                found = _HOME.fullmatch(member.name)
                content = archive.extractfile(member) if found and member.isreg() else None
                if content is not None and found is not None:
                    name = found[1] or found[2]
                    (target / name).write_bytes(content.read())
                    names.add(name)
    except tarfile.TarError as error:
        raise DeviceError(f"{host} sent no archive: {error}") from error
    except OSError as error:
        raise ConfigError(f"cannot write {target}: {error.strerror}") from error
    if not names:
        raise DeviceError(f"{host} ran isthmus bench and left no results")
