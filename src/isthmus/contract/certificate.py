"""Certificates and their keys for TLS: PEM files, read and checked before a TLS library gets them.

TLS libraries say of a wrong file that "the handshaker could not be made"; here the message names the file and what is wrong with
it. No message carries a byte of a key. `cryptography` is imported when a file is first read.
"""

import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from isthmus.contract import small_file
from isthmus.errors import ConfigError

if TYPE_CHECKING:
    from cryptography import x509

FILE_MAX_BYTES = 1 << 20
"""The list of public authorities of an operating system has a quarter of that."""


def read(path: Path) -> bytes:
    """A PEM file.

    Raises:
        ConfigError: it cannot be read, or is larger than such files are.
    """
    try:
        return small_file.read(path, size_max=FILE_MAX_BYTES, error=ConfigError)
    except FileNotFoundError as error:
        raise ConfigError(f"there is no file {path}") from error


def certificates(pem: bytes, path: Path) -> "list[x509.Certificate]":
    """The certificates of a PEM file, in its order.

    Args:
        pem: what is in it.
        path: for messages.

    Raises:
        ConfigError: there is none, or one is damaged.
    """
    from cryptography import x509

    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError as error:
        raise ConfigError(f"{path} holds no certificates that can be read; PEM is needed, -----BEGIN CERTIFICATE-----") from error


def check_pair(chain_pem: bytes, key_pem: bytes, *, chain: Path, key: Path, now: datetime.datetime) -> None:
    """Check that a certificate can be shown: it is valid now, and the key is its key.

    Args:
        chain_pem: the certificate, then those that lead to its authority.
        key_pem: its private key.
        chain: file of the one, for messages.
        key: file of the other.
        now: with a time zone.

    Raises:
        ConfigError: it cannot.
    """
    leaf = certificates(chain_pem, chain)[0]
    if _public(leaf) != _private_public(key_pem, key):
        raise ConfigError(f"{key} is not the key of the certificate in {chain}; both must come from one request")
    if now > leaf.not_valid_after_utc:
        raise ConfigError(f"the certificate in {chain} expired on {leaf.not_valid_after_utc:%Y-%m-%d %H:%M} UTC; renew it")
    if now < leaf.not_valid_before_utc:
        raise ConfigError(
            f"the certificate in {chain} is valid from {leaf.not_valid_before_utc:%Y-%m-%d %H:%M} UTC on and this clock says "
            f"{now:%Y-%m-%d %H:%M}; set the clock or wait"
        )


def _public(leaf: "x509.Certificate") -> bytes:
    from cryptography.hazmat.primitives import serialization

    return leaf.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def _private_public(pem: bytes, path: Path) -> bytes:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec, rsa

    try:
        key = serialization.load_pem_private_key(pem, None)
    except TypeError:
        raise ConfigError(f"{path} is encrypted; TLS needs a key without passphrase, in a file for its owner alone") from None
    except (ValueError, UnsupportedAlgorithm):
        # Without the library's words: nothing of a key may get into a log.
        raise ConfigError(f"{path} holds no private key that can be read; PEM is needed, -----BEGIN PRIVATE KEY-----") from None
    if not isinstance(key, (ec.EllipticCurvePrivateKey, rsa.RSAPrivateKey)):
        raise ConfigError(f"{path} holds an {type(key).__name__}; gRPC's TLS takes EC and RSA keys")
    return key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
