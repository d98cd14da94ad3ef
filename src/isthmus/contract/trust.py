"""Trusted keys: the public keys whose signatures count, in a file or in a folder.

A folder is read for its `*.pub` and `*.pem` files and not below; hidden files and other names are passed over, and links to files
are followed, because mounted configurations consist of them. One broken key file spoils the whole: to trust fewer keys in silence
would only be found when a rotation fails. A key is taken back by removing its file.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from isthmus.contract import key_file, small_file
from isthmus.contract.key import PublicKey, listed
from isthmus.errors import ConfigError

KEYS_MAX = 64
"""Far more than a fleet has signers; reading stops there."""
_ENTRIES_MAX = 1024
"""Files of a folder that are looked at, so that a wrong folder is refused at once."""
_SUFFIXES = (key_file.PUBLIC_SUFFIX, ".pem")


@dataclass(frozen=True, slots=True)
class TrustedKeys:
    """At least one key, by its id."""

    keys: Mapping[str, PublicKey]

    def __str__(self) -> str:
        """The key ids, for messages."""
        return listed(self.keys)


def read_trusted(path: Path) -> TrustedKeys:
    """Read a file of public keys, or a folder of such files.

    Raises:
        ConfigError: nothing there, no key in it, too many, or a file that is not a public Ed25519 key.
    """
    files = _files(path) if path.is_dir() else [path]
    if not files:
        raise ConfigError(f"{path} holds no public key: no file in it ends with {' or '.join(_SUFFIXES)}")
    keys: dict[str, PublicKey] = {}
    for file in files:
        keys |= {key.id: key for key in key_file.read_public(file)}
        if len(keys) > KEYS_MAX:
            raise ConfigError(f"{path} holds more than the {KEYS_MAX} keys that can be trusted at a time")
    return TrustedKeys(keys)


def add(folder: Path, key: PublicKey) -> Path | None:
    """Trust a key: write it to a folder as `<key id>.pub`.

    Args:
        folder: of trusted keys; made if it is not there.
        key: to trust from now on.

    Returns:
        The file, or None if the folder held the key already.

    Raises:
        ConfigError: `folder` is a file, cannot be written, or holds something that is not a key.
    """
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{folder} is a file; keys are added to a folder, and to a file with an editor")
    if folder.is_dir() and _files(folder) and key.id in read_trusted(folder).keys:
        return None
    path = folder / f"{key.id}{key_file.PUBLIC_SUFFIX}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{folder} cannot be made: {error.strerror}") from error
    small_file.create(path, key_file.public_pem(key), mode=0o644, error=ConfigError)
    return path


def _files(folder: Path) -> list[Path]:
    try:
        entries = list(islice(folder.iterdir(), _ENTRIES_MAX + 1))
    except OSError as error:
        raise ConfigError(f"{folder} cannot be read: {error.strerror}") from error
    if len(entries) > _ENTRIES_MAX:
        raise ConfigError(f"{folder} has more than {_ENTRIES_MAX} files; a folder of public keys is needed")
    return sorted(entry for entry in entries if entry.suffix in _SUFFIXES and not entry.name.startswith("."))
