"""`*.isthmus`: the artefact, as a folder or as an uncompressed zip.

A zip is unpacked once, to a cache folder named by the archive's digest. Either way every file is checked against the size and
SHA-256 in the manifest before it is used; a file that the manifest does not name does not belong to the bundle. Where keys are
trusted, the signature is checked over the very bytes that are then read as the manifest, and before any other file is touched.
"""

import dataclasses
import hashlib
import json
import os
import tempfile
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeAlias, TypeVar

from pydantic import ValidationError

from isthmus.contract import archive as zipped
from isthmus.contract import signature, small_file
from isthmus.contract.language import LanguageManifest
from isthmus.contract.manifest import MANIFEST_NAME, SCHEMA_VERSION, AnyManifest, Manifest
from isthmus.contract.trust import TrustedKeys
from isthmus.errors import BundleError, ContractMismatch

SUFFIX = ".isthmus"
MANIFEST_MAX_BYTES = 4 << 20
"""A manifest of thousands of files and labels stays far below this."""
UNSIGNED_FILES = (signature.SIGNATURE_NAME, "evaluation.json")
"""Beside the manifest, not named in it: the signature covers the manifest, the evaluation may be made later. Anybody can change
them, so nothing that computes reads them; the evaluation is only displayed."""


M = TypeVar("M", bound=AnyManifest)


@dataclass(frozen=True, slots=True)
class Opened(Generic[M]):
    """A bundle that was opened and checked."""

    folder: Path
    manifest: M
    origin: Path
    manifest_bytes: bytes = field(default=b"", repr=False)
    """What `manifest` was read from, which is what a signature is over."""
    signed_by: str | None = None
    """Id of the trusted key that signed it; None where no signature was asked for."""

    @property
    def digest(self) -> str:
        """The contract digest, lower-case hexadecimal."""
        return self.manifest.contract_digest

    def has(self, name: str) -> bool:
        """Whether the bundle carries the file `name`."""
        return name in self.manifest.files

    def path(self, name: str) -> Path:
        """Where the file `name` lies.

        Raises:
            BundleError: the bundle has no such file.
        """
        if not self.has(name):
            raise BundleError(f"{self.origin} has no {name}; it holds {', '.join(sorted(self.manifest.files))}")
        return self.folder / name

    def size_bytes(self) -> int:
        """Sum of all files."""
        return sum(entry.size_bytes for entry in self.manifest.files.values())


@dataclass(frozen=True, slots=True)
class Bundle(Opened[Manifest]):
    """Of a network of pictures or tensors."""


@dataclass(frozen=True, slots=True)
class LanguageBundle(Opened[LanguageManifest]):
    """Of a language model."""


AnyBundle: TypeAlias = Bundle | LanguageBundle


def open_bundle(path: Path | str, *, cache: Path | None = None, trusted: TrustedKeys | None = None) -> Bundle:
    """Open the bundle of a network of pictures or tensors; as `open_any` else.

    Raises:
        BundleError: also for a language model.
    """
    opened = open_any(path, cache=cache, trusted=trusted)
    if isinstance(opened, LanguageBundle):
        raise BundleError(f"{opened.origin} is the bundle of a language model; a network of pictures is needed here")
    return opened


def open_language(path: Path | str, *, cache: Path | None = None, trusted: TrustedKeys | None = None) -> LanguageBundle:
    """Open the bundle of a language model; as `open_any` else.

    Raises:
        BundleError: also for any other bundle.
    """
    opened = open_any(path, cache=cache, trusted=trusted)
    if isinstance(opened, Bundle):
        raise BundleError(f"{opened.origin} is no language model; `isthmus export FOLDER --cut K` makes a bundle of one")
    return opened


def open_any(path: Path | str, *, cache: Path | None = None, trusted: TrustedKeys | None = None) -> AnyBundle:
    """Open a bundle and check every file of it.

    Args:
        path: a folder, or a `.isthmus` zip.
        cache: where a zip is unpacked; default `$ISTHMUS_CACHE`, else `~/.cache/isthmus`.
        trusted: keys of which one must have signed it; None asks for no signature.

    Raises:
        BundleError: nothing there, not a bundle, damaged, or of a later schema.
        ContractMismatch: the contract digest is not that of the content.
        SignatureError: keys are trusted, and none of them has signed what is there.
    """
    origin = Path(path)
    if not origin.exists():
        raise BundleError(f"there is no bundle at {origin}")
    return check_folder(origin, origin, trusted) if origin.is_dir() else _unpack(origin, cache or default_cache(), trusted)


def check_folder(folder: Path, origin: Path, trusted: TrustedKeys | None = None) -> AnyBundle:
    """A bundle that is a folder, every file of it checked; `origin` names it in messages. Raises as `open_any` does."""
    bundle = _vouched(folder, origin, trusted)
    try:
        _check_files(folder, bundle.manifest, origin)
    except OSError as error:
        raise BundleError(f"{origin} cannot be checked: {error.strerror} ({error.filename})") from error
    computed = bundle.manifest.computed_digest()
    if computed != bundle.digest:
        raise ContractMismatch(f"{origin} says contract {bundle.digest[:12]}, its content gives {computed[:12]}; export it again")
    return bundle


def _vouched(folder: Path, origin: Path, trusted: TrustedKeys | None) -> AnyBundle:
    """Read the manifest and, where keys are trusted, see it signed before its content is looked at."""
    data = read_manifest(folder / MANIFEST_NAME, origin)
    signed_by = None
    if trusted is not None:
        signed_by = signature.check(data, signature.read(folder, origin), trusted, origin)
    manifest = parse_manifest(data, origin)
    if isinstance(manifest, LanguageManifest):
        return LanguageBundle(folder, manifest, origin, manifest_bytes=data, signed_by=signed_by)
    return Bundle(folder, manifest, origin, manifest_bytes=data, signed_by=signed_by)


def default_cache() -> Path:
    """Where archives are unpacked: `$ISTHMUS_CACHE`, else `$XDG_CACHE_HOME/isthmus`, else `~/.cache/isthmus`."""
    named = os.environ.get("ISTHMUS_CACHE")
    if named:
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "isthmus"


def read_manifest(path: Path, origin: Path) -> bytes:
    """Read `manifest.json`; `origin` names the bundle in messages.

    Raises:
        BundleError: missing, too large, or not a regular file; a link is none.
    """
    try:
        return small_file.read(path, size_max=MANIFEST_MAX_BYTES, error=BundleError, follow_links=False)
    except FileNotFoundError as error:
        raise BundleError(f"{origin} is not a bundle: it holds no {MANIFEST_NAME}") from error


def parse_manifest(data: bytes, origin: Path) -> Manifest | LanguageManifest:
    """Validate the bytes of a `manifest.json`.

    Raises:
        BundleError: not JSON, of a later schema, or with a wrong field.
    """
    try:
        raw = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{origin}: {MANIFEST_NAME} is not JSON ({error})") from error
    version = raw.get("schema_version") if isinstance(raw, dict) else None
    if not isinstance(version, int) or not 1 <= version <= SCHEMA_VERSION:
        raise BundleError(
            f"{origin} has bundle schema {str(version)[:20]!r}, this version reads 1 to {SCHEMA_VERSION}; install a newer isthmus"
        )
    try:
        return (LanguageManifest if raw.get("kind") == "lm" else Manifest).model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(step) for step in first["loc"])
        # A field's name is as foreign as its value: quoted and cut, so that the message stays one line.
        raise BundleError(f"{origin}: {MANIFEST_NAME} field {place[:120]!r}: {first['msg'][:300]}") from error


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, lower-case hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _check_files(folder: Path, manifest: AnyManifest, origin: Path) -> None:
    inside = folder.resolve()
    for name, entry in manifest.files.items():
        path = folder / name
        if not path.resolve().is_relative_to(inside) or path.is_symlink():
            raise BundleError(f"{origin}: {name} is a link or lies outside the bundle")
        if not path.is_file():
            raise BundleError(f"{origin} is incomplete: {name} is missing")
        size = path.stat().st_size
        if size != entry.size_bytes:
            raise BundleError(f"{origin} is damaged: {name} has {size} bytes, the manifest says {entry.size_bytes}")
        digest = file_sha256(path)
        if digest != entry.sha256:
            raise BundleError(f"{origin} is damaged: {name} has SHA-256 {digest[:12]}, the manifest says {entry.sha256[:12]}")


def _unpack(archive_path: Path, cache: Path, trusted: TrustedKeys | None) -> AnyBundle:
    """The archive's content in the cache, checked before it gets its name there and again at every opening."""
    try:
        folder = cache / "bundles" / file_sha256(archive_path)
        held = _held(folder, archive_path, trusted)
        if held is not None:
            return held
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".unpack-", dir=folder.parent) as temporary:
            fresh = Path(temporary) / "bundle"
            _extract(archive_path, fresh, trusted)
            checked = check_folder(fresh, archive_path, trusted)
            _settle(fresh, folder, Path(temporary) / "spoiled", archive_path, trusted)
    except zipped.ERRORS as error:
        raise BundleError(f"{archive_path} is not a bundle or is truncated ({error})") from error
    except OSError as error:
        raise BundleError(
            f"cannot unpack {archive_path} to {cache}: {error.strerror or error}; ISTHMUS_CACHE names another folder"
        ) from error
    return dataclasses.replace(checked, folder=folder)


def _held(folder: Path, origin: Path, trusted: TrustedKeys | None) -> AnyBundle | None:
    """The bundle in a folder of the cache, or None where there is no sound one."""
    try:
        return check_folder(folder, origin, trusted)
    except BundleError:
        return None


def _settle(fresh: Path, folder: Path, spoiled: Path, origin: Path, trusted: TrustedKeys | None) -> None:
    """Give `fresh` its place in the cache; a damaged older copy goes to `spoiled`."""
    try:
        if folder.exists() and _held(folder, origin, trusted) is None:
            folder.rename(spoiled)
        fresh.rename(folder)
    except OSError:
        # Another process was first; its copy is as good.
        if _held(folder, origin, trusted) is None:
            raise


def _extract(archive_path: Path, folder: Path, trusted: TrustedKeys | None) -> None:
    """Extract what the manifest names, and nothing else; where keys are trusted, nothing before the manifest is seen signed."""
    with zipfile.ZipFile(archive_path) as archive:
        members = {info.filename: info for info in archive.infolist()}
        if MANIFEST_NAME not in members:
            raise BundleError(f"{archive_path} is not a bundle: it holds no {MANIFEST_NAME}")
        folder.mkdir()
        for name in (MANIFEST_NAME, *UNSIGNED_FILES):
            if name in members:
                zipped.copy_member(archive, members[name], folder, size_max=MANIFEST_MAX_BYTES, origin=archive_path)
        for name, entry in _vouched(folder, archive_path, trusted).manifest.files.items():
            if name not in members:
                raise BundleError(f"{archive_path} is incomplete: {name} is missing")
            zipped.copy_member(archive, members[name], folder, size_max=entry.size_bytes, origin=archive_path)
