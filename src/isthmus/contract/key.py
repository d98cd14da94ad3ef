"""Ed25519 keys: a private one signs, its public one checks, and the key id names both.

The key id is the first 16 bytes of SHA-256 over the 32 bytes of the public key, as 32 hexadecimal digits: long enough that two
people who compare it by eye compare the key. It is always computed and never believed.

The library is `cryptography`. It is imported when a key is first used, so that whoever neither signs nor checks does without it.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

ALGORITHM = "ed25519"
SIGNATURE_BYTES = 64
KEY_ID_PATTERN = r"^[0-9a-f]{32}$"
_SHOWN_MAX = 3

_WEAK_POINTS = frozenset(
    bytes.fromhex(point)
    for point in (
        "00" * 32,
        "01" + "00" * 31,
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "ec" + "ff" * 30 + "7f",
        "ed" + "ff" * 30 + "7f",
        "ee" + "ff" * 30 + "7f",
    )
)
"""Encodings of the points of order 1, 2, 4 and 8, sign bit cleared. Under such a key anyone can sign, and 32 bytes of zeros are
one of them; the library takes them all."""


@dataclass(frozen=True, slots=True)
class PublicKey:
    """The half that is given away."""

    raw: bytes
    """32 bytes, as RFC 8032 encodes them."""

    @property
    def id(self) -> str:
        """Key id, 32 lower-case hexadecimal digits."""
        return hashlib.sha256(self.raw).hexdigest()[:32]

    @property
    def weak(self) -> bool:
        """Whether signatures by this key prove nothing."""
        return self.raw[:-1] + bytes([self.raw[-1] & 0x7F]) in _WEAK_POINTS

    def made(self, signature: bytes, message: bytes) -> bool:
        """Whether `signature` is by this key and over exactly `message`."""
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        try:
            Ed25519PublicKey.from_public_bytes(self.raw).verify(signature, message)
        except (InvalidSignature, ValueError):
            return False
        return True


@dataclass(frozen=True, slots=True)
class PrivateKey:
    """The half that is kept; neither its text nor an error about it shows the secret."""

    library_key: "Ed25519PrivateKey" = field(repr=False)

    @classmethod
    def generate(cls) -> Self:
        """A new key from the system's random numbers."""
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        return cls(Ed25519PrivateKey.generate())

    @property
    def public(self) -> PublicKey:
        """The other half."""
        return PublicKey(self.library_key.public_key().public_bytes_raw())

    def sign(self, message: bytes) -> bytes:
        """Signature of 64 bytes; the same key and message always give the same one."""
        return self.library_key.sign(message)


def listed(key_ids: Iterable[str]) -> str:
    """Key ids for a message: the first few, and how many more there are.

    >>> listed(["a", "b", "c", "d", "e"])
    'a, b, c and 2 more'
    """
    found = list(key_ids)
    more = len(found) - _SHOWN_MAX
    return ", ".join(found[:_SHOWN_MAX]) + (f" and {more} more" if more > 0 else "")
