"""The folder in which a device keeps its bundles and what it knows of them.

    state.json         see `state`; replaced in one step
    incoming.json      what `incoming.part` is the beginning of
    incoming.part      a transfer that is under way, or broke
    bundles/           whole archives, `<sha256>.isthmus`; named when all bytes are on the disk and have this digest
    unpacked/          their content, made anew where it is damaged or missing
    lock, state.lock   held by whoever updates, and for the moment of a change of the state

Nothing here is trusted for being here: a bundle is checked against its manifest, and the manifest against the trusted keys, each
time that it is opened.
"""

import contextlib
import fcntl
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import structlog
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from isthmus.contract import small_file
from isthmus.contract.bundle import SUFFIX
from isthmus.errors import ConfigError, DeviceError
from isthmus.head.update.state import UpdateState

STATE_MAX_BYTES = 256 << 10
SPARE_BYTES = 16 << 20
"""Left free for whatever else writes on the device."""

_log = structlog.get_logger(__name__)


class Incoming(BaseModel):
    """The whole of `incoming.json`: of which archive there is a beginning."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    size_bytes: int = Field(ge=0)
    sha256: str = Field(default="", pattern=r"^([0-9a-f]{64})?$")
    """Empty where it is not known before all is there."""
    tag: str = ""


class UpdateStore:
    """One folder; several processes may use it at a time.

    Args:
        folder: where; `prepare` makes it. An agent whose disk became read-only still reads it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._state, self._incoming = folder / "state.json", folder / "incoming.json"
        self.part = folder / "incoming.part"
        """Where a transfer is written to."""
        self.cache = folder / "unpacked"
        """Where archives are unpacked."""
        self._archives = folder / "bundles"

    def prepare(self) -> Self:
        """Make the folder, and see that it can be written.

        Raises:
            ConfigError: it cannot.
        """
        try:
            self._archives.mkdir(parents=True, exist_ok=True)
            os.close(os.open(self.folder / "state.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        except OSError as error:
            raise ConfigError(
                f"the folder {self.folder} for updates cannot be written: {error.strerror}; name another with --update-folder"
            ) from error
        return self

    @property
    def exists(self) -> bool:
        """Whether updates were ever taken here."""
        return self._state.exists()

    def read(self) -> UpdateState:
        """What is known. A file that cannot be read counts as none: the device then runs what it was set up with."""
        try:
            data = small_file.read(self._state, size_max=STATE_MAX_BYTES, error=ConfigError, follow_links=False)
            return UpdateState.model_validate(json.loads(data))
        except FileNotFoundError:
            return UpdateState()
        except (ConfigError, ValidationError, ValueError, RecursionError) as error:
            _log.error(
                "the state of updates cannot be read; begun anew", path=str(self._state), reason=str(error).splitlines()[0]
            )
            return UpdateState()

    def changed_at(self) -> int:
        """Another number after every change of the state."""
        try:
            found = self._state.stat()
        except OSError:
            return 0
        return found.st_mtime_ns ^ found.st_ino

    def change(self, step: Callable[[UpdateState], UpdateState]) -> UpdateState:
        """Take one step of the state, and see it on the disk.

        Raises:
            DeviceError: it cannot be written; the state is as it was.
        """
        with self._locked("state.lock", wait=True):
            before = self.read()
            after = step(before)
            if after != before or not self._state.exists():
                self._write(self._state, after)
        return after

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Be the only one who updates.

        Raises:
            DeviceError: another process does so now.
        """
        with self._locked("lock", wait=False):
            yield

    def archive(self, digest: str) -> Path:
        """Where the archive of that digest lies, or would."""
        return self._archives / f"{digest}{SUFFIX}"

    def incoming(self) -> Incoming | None:
        """What the part that is there is the beginning of; None where nothing can be gone on with."""
        try:
            data = small_file.read(self._incoming, size_max=4096, error=ConfigError, follow_links=False)
            return Incoming.model_validate(json.loads(data)) if self.part.is_file() else None
        except (FileNotFoundError, ConfigError, ValidationError, ValueError, RecursionError):
            return None

    def expect(self, incoming: Incoming) -> None:
        """Begin a transfer anew.

        Raises:
            DeviceError: the disk is full, or cannot be written.
        """
        try:
            # In this order a part never stands beside the description of another.
            self.part.unlink(missing_ok=True)
            self._write(self._incoming, incoming)
            self.part.touch(mode=0o600)
        except OSError as error:
            raise not_written(self.folder, error) from error

    def discard_incoming(self) -> None:
        """Forget the transfer."""
        self.part.unlink(missing_ok=True)
        self._incoming.unlink(missing_ok=True)

    def adopt(self, digest: str) -> Path:
        """Give the part, which is whole and on the disk, its name among the archives.

        Raises:
            DeviceError: it cannot be renamed.
        """
        path = self.archive(digest)
        try:
            os.replace(self.part, path)
            small_file.sync_folder(self._archives)
            self._incoming.unlink(missing_ok=True)
            small_file.sync_folder(self.folder)
        except OSError as error:
            raise not_written(self.folder, error) from error
        return path

    def check_room(self, size_bytes: int) -> None:
        """See whether an archive and its unpacked content fit.

        Raises:
            DeviceError: they do not.
        """
        needed = 2 * size_bytes + SPARE_BYTES
        free = shutil.disk_usage(self.folder).free
        if free < needed:
            raise DeviceError(
                f"the update needs {needed / 1e6:.0f} MB in {self.folder}, {free / 1e6:.0f} MB are free; free space, or name "
                "another folder with --update-folder"
            )

    def prune(self) -> None:
        """Remove what no state needs; whatever cannot be removed stays until the next time."""
        kept = self.read().kept
        unpacked = self.cache / "bundles"
        for folder in (self._archives, unpacked):
            for path in folder.iterdir() if folder.is_dir() else ():
                if path.name.removesuffix(SUFFIX) not in kept:
                    _remove(path)

    def _write(self, path: Path, content: BaseModel) -> None:
        try:
            small_file.put(path, content.model_dump_json(indent=2).encode() + b"\n", mode=0o600)
        except OSError as error:
            raise not_written(path, error) from error

    @contextmanager
    def _locked(self, name: str, *, wait: bool) -> Iterator[None]:
        try:
            descriptor = os.open(self.folder / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise not_written(self.folder, error) from error
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError as error:
                raise DeviceError(f"another update is under way in {self.folder}; try again when it is over") from error
            yield
        finally:
            os.close(descriptor)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
        return
    with contextlib.suppress(OSError):
        path.unlink()


def not_written(path: Path, error: OSError) -> DeviceError:
    """What to say of a disk that takes no more."""
    return DeviceError(f"{path} cannot be written: {error.strerror}; nothing was changed, what runs goes on")
