"""Key files: PEM, as OpenSSL reads and writes it.

`NAME.key` holds a private key as PKCS#8, encrypted if it has a passphrase; `NAME.pub` a public one as SubjectPublicKeyInfo, or
several, with any text between them. What else people put there by mistake is told apart by its label and named. No message
carries a byte of a key.
"""

import re
from collections.abc import Callable
from pathlib import Path

from isthmus.contract import small_file
from isthmus.contract.key import PrivateKey, PublicKey
from isthmus.errors import ConfigError, UsageError

PRIVATE_SUFFIX, PUBLIC_SUFFIX = ".key", ".pub"
FILE_MAX_BYTES = 16 << 10
"""Over a hundred public keys, or one encrypted private key many times over."""
PRIVATE_LABELS = ("PRIVATE KEY", "ENCRYPTED PRIVATE KEY")

_BLOCK = re.compile(rb"-----BEGIN ([A-Z0-9 ]{1,40})-----\s.*?-----END \1-----", re.DOTALL)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")


def write_pair(name: str, folder: Path, key: PrivateKey, *, passphrase: bytes | None = None) -> tuple[Path, Path]:
    """Write `NAME.key` for its owner alone and `NAME.pub` for everybody; both or neither.

    Args:
        name: plain letters, digits, dots, dashes and underscores, at most 64.
        folder: where; made if it is not there.
        key: what to write.
        passphrase: encrypts the private key; None leaves it as it is.

    Returns:
        Paths of the private and of the public key.

    Raises:
        UsageError: the name is not a plain one.
        ConfigError: one of the files is there already or cannot be written, or the passphrase is not taken.
    """
    if not _NAME.match(name):
        raise UsageError(
            f"key name {name[:80]!r} is not plain: letters, digits, '.', '-' and '_', at most 64; -o names the folder"
        )
    private, public = folder / f"{name}{PRIVATE_SUFFIX}", folder / f"{name}{PUBLIC_SUFFIX}"
    sealed = private_pem(key, passphrase)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{folder} cannot be made: {error.strerror}") from error
    small_file.create(public, public_pem(key.public), mode=0o644, error=ConfigError)
    try:
        small_file.create(private, sealed, mode=0o600, error=ConfigError)
    except ConfigError:
        public.unlink(missing_ok=True)
        raise
    return private, public


def private_pem(key: PrivateKey, passphrase: bytes | None) -> bytes:
    """PKCS#8 as PEM.

    Raises:
        ConfigError: the passphrase is empty or longer than the library takes.
    """
    from cryptography.hazmat.primitives import serialization

    try:
        encryption = serialization.NoEncryption() if passphrase is None else serialization.BestAvailableEncryption(passphrase)
        return key.library_key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
    except ValueError as error:
        raise ConfigError("the passphrase is not taken: it must have 1 to 1023 bytes") from error


def public_pem(key: PublicKey) -> bytes:
    """SubjectPublicKeyInfo as PEM."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return Ed25519PublicKey.from_public_bytes(key.raw).public_bytes(serialization.Encoding.PEM, form)


def read_public(path: Path) -> list[PublicKey]:
    """Read a file of one or several public keys, in their order.

    Raises:
        ConfigError: missing, too large, damaged, or something else than public Ed25519 keys.
    """
    return [_public(block, label, path) for label, block in _blocks(path)]


def read_private(path: Path, passphrase: Callable[[], bytes]) -> PrivateKey:
    """Read a private key.

    Args:
        path: a file with one key.
        passphrase: called only if the key is encrypted.

    Raises:
        ConfigError: missing, too large, damaged, something else than one private Ed25519 key, or of another passphrase.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    blocks = _blocks(path)
    label, block = blocks[0]
    if label == "PUBLIC KEY":
        raise ConfigError(f"{path} is a public key and cannot sign; give the private one, made as NAME{PRIVATE_SUFFIX}")
    if label not in PRIVATE_LABELS or len(blocks) != 1:
        raise ConfigError(f"{path} holds {_told(blocks)}; one Ed25519 private key is needed: isthmus keys new NAME")
    secret = passphrase() if label.startswith("ENCRYPTED") else None
    try:
        key = load_pem_private_key(block, secret)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # Without the library's words: they would be the one place where something of the key could get into a log.
        reason = "the passphrase is another or the file is damaged" if secret is not None else "the file is damaged"
        raise ConfigError(f"{path} cannot be opened as a private key: {reason}") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigError(f"{path} holds an {type(key).__name__}; isthmus signs with Ed25519: isthmus keys new NAME")
    return PrivateKey(key)


def is_private(path: Path) -> bool:
    """Whether a file begins with a private key, encrypted or not.

    Raises:
        ConfigError: missing, too large, or no key file.
    """
    return _blocks(path)[0][0] in PRIVATE_LABELS


def _public(block: bytes, label: str, path: Path) -> PublicKey:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    if label in PRIVATE_LABELS:
        raise ConfigError(
            f"{path} is a private key and a public one is needed: give the file NAME{PUBLIC_SUFFIX} made with it, "
            "and keep the private key only where bundles are signed"
        )
    if label != "PUBLIC KEY":
        raise ConfigError(f"{path} holds a {label}; an Ed25519 public key is needed: isthmus keys new NAME")
    try:
        key = load_pem_public_key(block)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ConfigError(f"{path} is damaged: it cannot be read as a public key") from error
    if not isinstance(key, Ed25519PublicKey):
        raise ConfigError(f"{path} holds an {type(key).__name__}; isthmus checks Ed25519 signatures: isthmus keys new NAME")
    found = PublicKey(key.public_bytes_raw())
    if found.weak:
        raise ConfigError(
            f"{path} holds a key under which anyone can sign (a point of small order, as {found.id}); make a new one"
        )
    return found


def _blocks(path: Path) -> list[tuple[str, bytes]]:
    """Label and text of every PEM block."""
    try:
        data = small_file.read(path, size_max=FILE_MAX_BYTES, error=ConfigError)
    except FileNotFoundError as error:
        raise ConfigError(f"there is no key file {path}") from error
    found = [(match[1].decode("ascii"), match[0] + b"\n") for match in _BLOCK.finditer(data)]
    if data.count(b"-----BEGIN ") != len(found):
        raise ConfigError(f"{path} is cut short: a key begins in it and does not end")
    if not found:
        raise ConfigError(f"{path} holds no key: no line says -----BEGIN PUBLIC KEY----- or PRIVATE KEY")
    return found


def _told(blocks: list[tuple[str, bytes]]) -> str:
    return f"{len(blocks)} keys" if len(blocks) > 1 else f"a {blocks[0][0]}"
