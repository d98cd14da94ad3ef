"""What lies in a repository: `<repository>/<name>/<version>/`, looked at without opening anything.

A version is a folder whose name is an integer from 1 on; it is a bundle folder, or holds one `.isthmus` file. Nothing else
counts: hidden names, half-made copies without a manifest, and links that lead out of the repository are passed over. Names that
clients send are only ever compared with names found here, never made into a path.
"""

import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from isthmus.contract.bundle import SUFFIX
from isthmus.contract.manifest import MANIFEST_NAME
from isthmus.errors import ConfigError
from isthmus.tail.repository.serve_file import FILE_NAME

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
"""As a bundle's id."""
_VERSION = re.compile(r"[1-9][0-9]{0,17}")
"""Fits into 64 bits, which is what clients keep versions in."""
_FILES_MAX = 1024
"""Of one version; a bundle has a dozen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A version that lies there."""

    name: str
    version: str
    folder: Path
    """Of the name."""
    path: Path
    """The bundle folder, or the `.isthmus` file."""
    fingerprint: str
    """Of names, sizes, times and numbers of its files and of the settings beside it: another one means that they were changed."""

    def fingerprint_now(self) -> str:
        """What `fingerprint` would be if it were found now.

        Raises:
            OSError: it cannot be looked at any more.
        """
        return _fingerprint(self.path, self.folder / FILE_NAME)

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """Everything found in one look."""

    versions: Mapping[str, tuple[Found, ...]]
    """By name, the newest first."""
    skipped: Mapping[Path, str]
    """What is no bundle, and why."""
    unreadable: frozenset[str] = frozenset()
    """Names whose folder could not be read just now."""

    def find(self, name: str, version: str = "") -> tuple[Found, ...]:
        """Versions of a name, or the one that is asked for."""
        return tuple(found for found in self.versions.get(name, ()) if version in ("", found.version))


def look(root: Path) -> Listing:
    """List a repository.

    Raises:
        ConfigError: it cannot be read.
    """
    versions: dict[str, tuple[Found, ...]] = {}
    skipped: dict[Path, str] = {}
    unreadable = set()
    try:
        folders = sorted(path for path in root.iterdir() if not path.name.startswith("."))
        inside = root.resolve(strict=True)
    except OSError as error:
        raise ConfigError(f"the repository {root} cannot be read: {error.strerror}") from error
    for folder in folders:
        if why := _why_no_name(folder, inside):
            skipped[folder] = why
            continue
        try:
            found = tuple(_versions(folder, inside, skipped))
        except OSError as error:
            skipped[folder] = f"cannot be read: {error.strerror}"
            unreadable.add(folder.name)
            continue
        if found:
            versions[folder.name] = found
    return Listing(versions=versions, skipped=skipped, unreadable=frozenset(unreadable))


def _why_no_name(folder: Path, inside: Path) -> str:
    if not folder.is_dir():
        return "is not a folder"
    if not _NAME.fullmatch(folder.name):
        return "is not named with letters, digits, '.', '_' and '-'"
    return _why_outside(folder, inside)


def _why_outside(path: Path, inside: Path) -> str:
    return "" if path.resolve().is_relative_to(inside) else "is a link that leads out of the repository"


def _versions(folder: Path, inside: Path, skipped: dict[Path, str]) -> Iterator[Found]:
    settings = folder / FILE_NAME
    numbered = [path for path in folder.iterdir() if not path.name.startswith(".") and path.name != FILE_NAME]
    for path in sorted(numbered, key=lambda path: (len(path.name), path.name), reverse=True):
        bundle, why = _bundle(path, inside)
        if bundle is None:
            skipped[path] = why
            continue
        yield Found(name=folder.name, version=path.name, folder=folder, path=bundle, fingerprint=_fingerprint(bundle, settings))


def _bundle(path: Path, inside: Path) -> tuple[Path | None, str]:
    """Where the bundle of a version is, or why there is none."""
    if not _VERSION.fullmatch(path.name) or not path.is_dir():
        return None, "is not a version: a folder named by an integer from 1 on is needed"
    if why := _why_outside(path, inside):
        return None, why
    if (path / MANIFEST_NAME).exists():
        return path, ""
    archives = [entry for entry in path.iterdir() if entry.suffix == SUFFIX and not entry.name.startswith(".")]
    if len(archives) != 1:
        held = f"{len(archives)} {SUFFIX} files" if archives else f"neither {MANIFEST_NAME} nor a {SUFFIX} file"
        return None, f"is not a bundle: it holds {held}"
    return (None, why) if (why := _why_outside(archives[0], inside)) else (archives[0], "")


def _fingerprint(bundle: Path, settings: Path) -> str:
    digest = hashlib.sha256()
    files = sorted(_files(bundle)) if bundle.is_dir() else [bundle]
    for path in [*files, *([settings] if settings.exists() else [])]:
        facts = path.lstat()
        digest.update(repr((str(path), facts.st_size, facts.st_mtime_ns, facts.st_ino)).encode())
    return digest.hexdigest()


def _files(folder: Path) -> list[Path]:
    files: list[Path] = []
    for parent, _folders, names in os.walk(folder):
        files += [Path(parent, name) for name in names]
        if len(files) > _FILES_MAX:
            raise OSError(0, f"more than {_FILES_MAX} files")
    return files
