r"""A succession: an old key names the new one, so that who trusts the old one knows where the new one comes from.

    {"schema_version": 1, "old_key_id": "…", "new_public_key": "…base64 of 32 bytes", "signature": "…base64 of 64 bytes"}

The signature is the old key's, over `PREFIX`, the 32 bytes of the old public key and the 32 bytes of the new one. It is never
followed by itself: a person accepts it once, which adds the new key to the trusted ones. After a theft the thief can make
successions too; then the old key is removed instead, and nothing it states is accepted.
"""

import base64
import json
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from isthmus.contract import small_file
from isthmus.contract.key import KEY_ID_PATTERN, PrivateKey, PublicKey
from isthmus.contract.trust import TrustedKeys
from isthmus.errors import ConfigError, SignatureError

SUFFIX = ".succession"
PREFIX = b"isthmus key succession 1\0"
_FILE_MAX_BYTES = 4 << 10


class Succession(BaseModel):
    """The whole of a `.succession` file."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    schema_version: Literal[1] = 1
    old_key_id: str = Field(pattern=KEY_ID_PATTERN)
    # The patterns are just those of base64 of 32 and of 64 bytes, so that decoding cannot fail.
    new_public_key: str = Field(pattern=r"^[A-Za-z0-9+/]{43}=$")
    signature: str = Field(pattern=r"^[A-Za-z0-9+/]{86}==$")

    def encode(self) -> bytes:
        """The bytes of the file."""
        return self.model_dump_json(indent=2).encode() + b"\n"


def state(old: PrivateKey, new: PublicKey) -> Succession:
    """Let the old key name the new one."""
    made = old.sign(PREFIX + old.public.raw + new.raw)
    return Succession(
        old_key_id=old.public.id,
        new_public_key=base64.b64encode(new.raw).decode("ascii"),
        signature=base64.b64encode(made).decode("ascii"),
    )


def read(path: Path) -> Succession:
    """Read a file; nothing is checked but the form.

    Raises:
        ConfigError: missing, too large, or not a succession that this version reads.
    """
    try:
        data = small_file.read(path, size_max=_FILE_MAX_BYTES, error=ConfigError)
    except FileNotFoundError as error:
        raise ConfigError(f"there is no succession {path}") from error
    try:
        return Succession.model_validate(json.loads(data))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(step) for step in first["loc"])
        raise ConfigError(
            f"{path} is not a succession this version reads: field {place[:120]!r}: {first['msg'][:300]}"
        ) from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path} is not a succession: it is not JSON") from error


def check(statement: Succession, trusted: TrustedKeys, origin: Path) -> PublicKey:
    """The new key, if a trusted one names it.

    Args:
        statement: what `read` gave.
        trusted: keys of which one must have signed it.
        origin: the file, for messages.

    Raises:
        SignatureError: it is by another key, damaged, or names a key that proves nothing.
    """
    old = trusted.keys.get(statement.old_key_id)
    if old is None:
        raise SignatureError(
            f"{origin} is stated by {statement.old_key_id}, trusted is {trusted}; only a trusted key names its successor"
        )
    new = new_key(statement)
    if not old.made(base64.b64decode(statement.signature), PREFIX + old.raw + new.raw):
        raise SignatureError(f"{origin} is damaged or forged: its signature is not by {old.id} over this new key {new.id}")
    if new.weak:
        raise SignatureError(f"{origin} names the key {new.id}, under which anyone can sign; make a new one")
    return new


def new_key(statement: Succession) -> PublicKey:
    """The key that a statement names, whether or not the statement is true."""
    return PublicKey(base64.b64decode(statement.new_public_key))
