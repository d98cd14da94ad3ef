"""Pictures that must be delivered, on the device's disk: bounded, and whole after a kill or a power cut.

One SQLite file with a write-ahead log and `synchronous=FULL`: what `add` has returned from is on the disk, whatever happens to
the process (SIGKILL) or to the machine (power). Whoever has the file open has it alone. It keeps the size that it once needed.

What is done when the disk fails: a picture that cannot be written is refused, and the next one is tried again; a file that is no
sound database any more is set aside, as `queue.damaged.sqlite`, and a new one begun. Neither ends the agent.
"""

import contextlib
import shutil
import sqlite3
import threading
import zlib
from collections.abc import Callable, Iterable
from dataclasses import astuple
from pathlib import Path
from typing import Literal, Self, TypeVar

import structlog

from isthmus.errors import ConfigError, DeviceError
from isthmus.head.record import Identity

FILE_NAME, DAMAGED_NAME = "queue.sqlite", "queue.damaged.sqlite"
VERSION = 1
FREE_MIN_BYTES = 32_000_000
"""Room on the disk that is left to others: a system without any is lost, not only its pictures."""
LOCK_WAIT_S = 2.0
"""An agent that was killed holds the lock until the kernel has buried it."""
LOG_BYTES = 4_000_000
GivesWay = Literal["oldest", "newest"]

_TABLE = """
CREATE TABLE IF NOT EXISTS pictures (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    device TEXT NOT NULL, session TEXT NOT NULL, sequence INTEGER NOT NULL, name TEXT NOT NULL, captured_at REAL NOT NULL,
    picture BLOB NOT NULL, checksum INTEGER NOT NULL,
    UNIQUE (device, session, sequence))
"""
_FIELDS = "device, session, sequence, name, captured_at"
_INSERT = f"INSERT OR IGNORE INTO pictures ({_FIELDS}, picture, checksum) VALUES (?, ?, ?, ?, ?, ?, ?)"
_FIND = "SELECT number FROM pictures WHERE device = ? AND session = ? AND sequence = ?"
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_log = structlog.get_logger()
Result = TypeVar("Result")


class Spool:
    """The pictures in a folder; use it as a context manager. Safe to use from any thread.

    Args:
        folder: is made if it is not there.
        bytes_max: pictures kept at most, in bytes.
        gives_way: when that is reached: the pictures that were kept first, or the one that comes.

    Raises:
        ConfigError: on entering: the folder cannot be used, another agent has it, or another version wrote it.
    """

    def __init__(self, folder: Path, *, bytes_max: int, gives_way: GivesWay = "oldest") -> None:
        self._folder = folder
        self._path = folder / FILE_NAME
        self._bytes_max = bytes_max
        self._gives_way = gives_way
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._sizes: dict[int, int] = {}
        # What the transaction at hand changes in them.
        self._gone: set[int] = set()
        self._come: dict[int, int] = {}

    def __enter__(self) -> Self:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with self._lock:
                self._connect()
        except OSError as error:
            raise ConfigError(f"--deliver {self._folder} cannot be used: {error.strerror}; name a folder to write in") from error
        except DeviceError as error:
            _log.warning("queue not open yet", reason=str(error))
        return self

    def __exit__(self, *_: object) -> None:
        self._disconnect()

    def __len__(self) -> int:
        return len(self._sizes)

    @property
    def size_bytes(self) -> int:
        """Of the pictures kept."""
        return sum(self._sizes.values())

    @property
    def numbers(self) -> list[int]:
        """Of the pictures kept, oldest first."""
        with self._lock:
            return list(self._sizes)

    def add(
        self,
        identity: Identity,
        picture: bytes,
        *,
        forget: Iterable[int] = (),
        may_go: Callable[[int], bool] = lambda _number: True,
    ) -> tuple[int, list[Identity]]:
        """Keep a picture; on return it is on the disk.

        Args:
            identity: of its frame; one that is here already is not kept twice.
            picture: compressed.
            forget: numbers of others that are not needed any more; saves a write.
            may_go: whether the picture of a number may give way.

        Returns:
            Its number, and whose pictures gave way to it.

        Raises:
            DeviceError: the disk does not take it, or there is no room; nothing was changed.
        """
        forget = set(forget)

        def work(connection: sqlite3.Connection) -> tuple[int, list[Identity]]:
            leaving = forget | self._room_for(len(picture), forget, may_go)
            lost = [self._identity(connection, number) for number in sorted(leaving - forget)]
            connection.executemany("DELETE FROM pictures WHERE number = ?", [(number,) for number in leaving])
            values = (*astuple(identity), picture, zlib.crc32(picture))
            done = connection.execute(_INSERT, values)
            number = done.lastrowid
            if done.rowcount != 1 or number is None:
                [number] = connection.execute(_FIND, (identity.device, identity.session, identity.sequence)).fetchone()
            self._gone, self._come = leaving, {number: len(picture)}
            return number, lost

        with self._lock:
            if shutil.disk_usage(self._folder).free < FREE_MIN_BYTES + len(picture):
                raise DeviceError(f"the disk of {self._folder} has less than {FREE_MIN_BYTES // 10**6} MB left; free space there")
            return self._work(work)

    def read(self, number: int) -> tuple[Identity, bytes]:
        """A picture and whose it is.

        Raises:
            DeviceError: it is not here, is damaged, or the disk does not give it.
        """

        def work(connection: sqlite3.Connection) -> tuple[Identity, bytes]:
            row = connection.execute(f"SELECT {_FIELDS}, picture, checksum FROM pictures WHERE number = ?", (number,)).fetchone()
            if row is None:
                raise DeviceError(f"{self._path} does not hold picture {number}")
            *fields, picture, checksum = row
            if zlib.crc32(picture) != checksum:
                raise DeviceError(f"picture {number} in {self._path} is damaged")
            return Identity(*fields), picture

        with self._lock:
            return self._work(work)

    def identity(self, number: int) -> Identity:
        """Whose picture it is, without reading it.

        Raises:
            DeviceError: it is not here, or the disk does not give it.
        """
        with self._lock:
            return self._work(lambda connection: self._identity(connection, number))

    def forget(self, numbers: Iterable[int]) -> None:
        """Let go of pictures.

        Raises:
            DeviceError: the disk does not do it; they are still there.
        """
        leaving = set(numbers)

        def work(connection: sqlite3.Connection) -> None:
            connection.executemany("DELETE FROM pictures WHERE number = ?", [(number,) for number in leaving])
            self._gone, self._come = leaving, {}

        if leaving:
            with self._lock:
                self._work(work)

    def _room_for(self, size: int, forget: set[int], may_go: Callable[[int], bool]) -> set[int]:
        """Numbers that have to leave.

        Raises:
            DeviceError: there is no room.
        """
        held = {number: kept for number, kept in self._sizes.items() if number not in forget}
        excess = sum(held.values()) + size - self._bytes_max
        leaving: set[int] = set()
        for number, kept in held.items():
            if excess <= 0 or self._gives_way == "newest":
                break
            if may_go(number):
                leaving.add(number)
                excess -= kept
        if excess > 0:
            raise DeviceError(f"{self._path} holds {sum(held.values())} bytes of pictures, {self._bytes_max} may be kept")
        return leaving

    def _identity(self, connection: sqlite3.Connection, number: int) -> Identity:
        row = connection.execute(f"SELECT {_FIELDS} FROM pictures WHERE number = ?", (number,)).fetchone()
        if row is None:
            raise DeviceError(f"{self._path} does not hold picture {number}")
        return Identity(*row)

    def _work(self, work: Callable[[sqlite3.Connection], Result]) -> Result:
        """One transaction: all of it or nothing."""
        self._gone, self._come = set(), {}
        connection = self._connection or self._connect()
        try:
            with connection:
                result = work(connection)
        except sqlite3.Error as error:
            raise self._failed(error) from error
        for number in self._gone:
            self._sizes.pop(number, None)
        self._sizes |= self._come
        return result

    def _connect(self) -> sqlite3.Connection:
        """Open the file.

        Raises:
            ConfigError: another agent has it, or another version wrote it, or it may not be written.
            DeviceError: the disk does not take it now.
        """
        connection = None
        try:
            connection = sqlite3.connect(self._path, timeout=LOCK_WAIT_S, check_same_thread=False)
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute(f"PRAGMA journal_size_limit = {LOG_BYTES}")
            self._check_version(connection)
            with connection:
                connection.execute(_TABLE)
                # Written anew each time: a file that cannot be written is found now.
                connection.execute(f"PRAGMA user_version = {VERSION}")
            self._sizes = dict(connection.execute("SELECT number, length(picture) FROM pictures ORDER BY number"))
        except sqlite3.Error as error:
            if connection is not None:
                connection.close()
            if error.sqlite_errorcode in _DAMAGED:
                self._set_aside()
                return self._connect()
            raise self._refusal(error) from error
        self._connection = connection
        return connection

    def _check_version(self, connection: sqlite3.Connection) -> None:
        [version] = connection.execute("PRAGMA user_version").fetchone()
        if version not in (0, VERSION):
            connection.close()
            raise ConfigError(f"{self._path} is a queue of version {version}, {VERSION} is read here; name another folder")

    def _refusal(self, error: sqlite3.Error) -> ConfigError | DeviceError:
        code = error.sqlite_errorcode & 0xFF
        if code == sqlite3.SQLITE_BUSY:
            return ConfigError(f"{self._path} is in use by another agent; give each a folder of its own")
        if code in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM):
            return ConfigError(f"--deliver {self._folder} cannot be used: {error}; name a folder to write in")
        return DeviceError(f"{self._path} cannot be written: {error}; free space there")

    def _failed(self, error: sqlite3.Error) -> DeviceError:
        """What is told of an open file, after it was set right as far as possible."""
        if error.sqlite_errorcode & 0xFF in _DAMAGED:
            lost = len(self._sizes)
            self._disconnect()
            self._set_aside()
            return DeviceError(f"{self._path} is damaged ({error}) and was set aside with {lost} pictures")
        if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_FULL:
            # Whatever it is, a fresh connection knows best.
            self._disconnect()
        return DeviceError(f"{self._path} cannot be used: {error}; free space there")

    def _set_aside(self) -> None:
        """Keep one damaged file for whoever wants to look at it."""
        self._sizes = {}
        _log.error("queue damaged, a new one is begun", file=str(self._path), kept_as=DAMAGED_NAME)
        for ending in ("-wal", "-shm"):
            with contextlib.suppress(OSError):
                Path(f"{self._path}{ending}").unlink()
        try:
            self._path.replace(self._folder / DAMAGED_NAME)
        except OSError as error:
            raise DeviceError(f"{self._path} is damaged and cannot be moved: {error.strerror}; remove it") from error

    def _disconnect(self) -> None:
        with self._lock:
            if self._connection is not None:
                with contextlib.suppress(sqlite3.Error):
                    self._connection.close()
                self._connection = None
