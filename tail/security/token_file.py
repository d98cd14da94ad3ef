"""The file of a server's tokens: JSON lines, one grant each.

    {"id": "0f3a...", "name": "camera-1", "scopes": ["stream"], "sha256": "...", "created": "...", "expires": null}

Empty lines are passed over. One line that cannot be read spoils the whole: in silence a token would be good that its owner
thinks revoked. Writers hold a lock on the folder, and put a whole new file in place of the old one.
"""

import contextlib
import datetime
import fcntl
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from pydantic import ValidationError

from isthmus.contract import small_file
from isthmus.errors import ConfigError
from isthmus.tail.security.token import Grant

FILE_MAX_BYTES = 8 << 20
"""Some 30,000 tokens."""
MODE = 0o600


def read(path: Path) -> dict[str, Grant]:
    """All grants by id, in the order of the file.

    Raises:
        ConfigError: it is missing, too large, or has a line that is no grant, or two of one id.
    """
    try:
        data = small_file.read(path, size_max=FILE_MAX_BYTES, error=ConfigError)
    except FileNotFoundError as error:
        raise ConfigError(f"there is no token file {path}; make one with isthmus tokens new {path} NAME") from error
    grants: dict[str, Grant] = {}
    for number, line in enumerate(data.splitlines(), 1):
        if not line.strip():
            continue
        grant = _grant(line, f"{path}, line {number}")
        if grant.id in grants:
            raise ConfigError(f"{path}, line {number}: id {grant.id} is there already; every token has one line")
        grants[grant.id] = grant
    return grants


def add(path: Path, grant: Grant) -> None:
    """Add a grant; the file is made, for its owner alone, if there is none.

    Raises:
        ConfigError: the file cannot be read or written.
    """
    with _locked(path):
        if path.exists():
            _write(path, {**read(path), grant.id: grant})
        else:
            small_file.create(path, _text({grant.id: grant}), mode=MODE, error=ConfigError)


def revoke(path: Path, wanted: str, now: datetime.datetime) -> list[Grant]:
    """Mark grants as revoked; their lines stay, so that a refusal can say what happened.

    Args:
        path: of the file.
        wanted: the id of one, or a name: then all of that name.
        now: when.

    Returns:
        Those that were good until now.

    Raises:
        ConfigError: nothing has that id or name, or the file cannot be read or written.
    """
    with _locked(path):
        grants = read(path)
        found = [grant for grant in grants.values() if wanted in (grant.id, grant.name)]
        if not found:
            raise ConfigError(f"{path} has no token of id or name {wanted[:80]!r}; isthmus tokens list {path} shows them")
        revoked = [grant.model_copy(update={"revoked": now}) for grant in found if grant.revoked is None]
        if revoked:
            _write(path, {**grants, **{grant.id: grant for grant in revoked}})
        return revoked


def _grant(line: bytes, where: str) -> Grant:
    try:
        return Grant.model_validate_json(line)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        field = ".".join(map(str, first["loc"])) or "the line"
        raise ConfigError(f"{where}: {field}: {first['msg']}; see docs/security.md") from None


def _text(grants: Mapping[str, Grant]) -> bytes:
    return b"".join(grant.model_dump_json().encode() + b"\n" for grant in grants.values())


def _write(path: Path, grants: Mapping[str, Grant]) -> None:
    try:
        small_file.replace(path, _text(grants), like=path)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}") from error


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """One writer at a time. The folder is locked and not the file, which is another one after every change."""
    try:
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise ConfigError(f"{path.parent} cannot be opened: {error.strerror}") from error
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)
