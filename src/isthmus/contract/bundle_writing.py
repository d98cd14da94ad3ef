"""Write `*.isthmus`: beside its place first, checked there, then put in the place of what was there in one step."""

import os
import shutil
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from isthmus.contract import archive as zipped
from isthmus.contract.bundle import (
    SUFFIX,
    UNSIGNED_FILES,
    Bundle,
    LanguageBundle,
    check_folder,
    file_sha256,
    open_bundle,
    open_language,
)
from isthmus.contract.language import LanguageManifest
from isthmus.contract.manifest import MANIFEST_NAME, AnyManifest, FileEntry, Manifest
from isthmus.errors import BundleError, ConfigError


def write_bundle(target: Path, manifest: Manifest, files: Mapping[str, Path]) -> Bundle:
    """Write the bundle of a network of pictures or tensors; see `write_language`."""
    _write(target, manifest, files)
    return open_bundle(target)


def write_language(target: Path, manifest: LanguageManifest, files: Mapping[str, Path]) -> LanguageBundle:
    """Write a bundle: a zip if `target` ends with `.isthmus`, else a folder. Nothing is left behind if it fails.

    Args:
        target: what to write; an existing bundle is replaced at the end, after the new one was written and checked.
        manifest: complete but for `files` and `contract_digest`, which are computed here.
        files: name in the bundle -> file to copy.

    Raises:
        BundleError: the target cannot be written, is a folder that is not a bundle, or a file's name is not a plain one.
    """
    _write(target, manifest, files)
    return open_language(target)


def _write(target: Path, manifest: AnyManifest, files: Mapping[str, Path]) -> None:
    check_target(target)
    entries = {name: _entry(path) for name, path in files.items() if name not in UNSIGNED_FILES}
    try:
        complete = type(manifest).model_validate(
            {**manifest.model_dump(), "files": {n: e.model_dump() for n, e in entries.items()}}
        )
    except ValidationError as error:
        raise BundleError(f"cannot write {target}: {error.errors()[0]['msg']}") from error
    complete = complete.model_copy(update={"contract_digest": complete.computed_digest()})
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".isthmus-", dir=target.parent) as temporary:
            _write_into(Path(temporary), target, complete, files)
    except OSError as error:
        raise BundleError(f"cannot write {target}: {error.strerror or error}") from error


def check_target(target: Path) -> None:
    """Refuse a target that cannot be written or would overwrite what is no bundle; for whoever works long before writing.

    Raises:
        BundleError: the target is a folder with something else in it, or a file that is no bundle.
        ConfigError: nothing can be written there.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=target.parent).close()
    except OSError as error:
        raise ConfigError(f"{target} cannot be written: {error.strerror}; name another target") from error
    if target.exists() and not target.is_dir() and not target.is_file():
        raise ConfigError(f"{target} is not a file or a folder; name another target")
    if target.is_dir() and any(target.iterdir()) and not (target / MANIFEST_NAME).exists():
        raise BundleError(f"{target} is a folder that is not a bundle; name another target")
    if target.is_file() and not (target.suffix == SUFFIX and zipfile.is_zipfile(target)):
        raise BundleError(f"{target} is a file that is not a bundle; name another target")


def _write_into(temporary: Path, target: Path, manifest: AnyManifest, files: Mapping[str, Path]) -> None:
    folder = temporary / "bundle"
    folder.mkdir()
    for name, path in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, folder / name)
    (folder / MANIFEST_NAME).write_text(manifest.model_dump_json(indent=2) + "\n", encoding="utf-8")
    check_folder(folder, target)
    made = folder
    if target.suffix == SUFFIX:
        made = temporary / "archive"
        zipped.pack(made, {name: folder / name for name in [MANIFEST_NAME, *sorted(files)]})
    _replace(target, made, temporary / "replaced")


def _replace(target: Path, made: Path, aside: Path) -> None:
    """Put `made` at `target`; a folder cannot be replaced in one step, so the old one is set aside and comes back on failure."""
    if not target.is_dir():
        os.replace(made, target)
        return
    target.rename(aside)
    try:
        os.replace(made, target)
    except OSError:
        aside.rename(target)
        raise


def _entry(path: Path) -> FileEntry:
    try:
        return FileEntry(size_bytes=path.stat().st_size, sha256=file_sha256(path))
    except OSError as error:
        raise BundleError(f"cannot read {path}: {error.strerror}") from error
