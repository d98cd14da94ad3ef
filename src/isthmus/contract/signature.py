r"""`manifest.sig`: who vouches for a bundle.

    {"schema_version": 1, "signatures": [{"key_id": "…32 hex digits", "algorithm": "ed25519", "signature": "…base64"}]}

Each signature is over `PREFIX` and the bytes of `manifest.json` as they lie in the bundle, not over a form of them that a reader
would have to make first. The manifest names size and SHA-256 of every file that is used, so the signature covers them all. The
prefix is there so that no signature made for another purpose can pass for one of these.

Not covered are this file and `evaluation.json`: a key id here is a hint where to look, and figures there are only displayed.
A bundle is good if one signature by a trusted key is good. What else stands in the file does not matter: whoever could add a bad
signature could as well remove it.
"""

import base64
import binascii
import json
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from isthmus.contract import small_file
from isthmus.contract.key import ALGORITHM, KEY_ID_PATTERN, SIGNATURE_BYTES, PrivateKey, listed
from isthmus.contract.trust import TrustedKeys
from isthmus.errors import SignatureError

SIGNATURE_NAME = "manifest.sig"
SIGNATURE_SCHEMA = 1
PREFIX = b"isthmus manifest signature 1\0"
SIGNATURES_MAX = 16
"""A rotation needs two; a maker, an integrator and an operator, each in a rotation, need six."""
FILE_MAX_BYTES = 64 << 10
"""Sixteen signatures of any algorithm known today, post-quantum ones included."""


class Signature(BaseModel):
    """One signature."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    key_id: str = Field(pattern=KEY_ID_PATTERN)
    algorithm: str = Field(pattern=r"^[a-z0-9-]{1,32}$")
    """Only `ed25519` is known; one of another algorithm is passed over, as if it were by a key that is not trusted."""
    signature: str = Field(max_length=8192)
    """Base64, with padding."""


class SignatureFile(BaseModel):
    """The whole of `manifest.sig`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    signatures: tuple[Signature, ...] = Field(min_length=1, max_length=SIGNATURES_MAX)

    @model_validator(mode="after")
    def _keys_differ(self) -> Self:
        if len(set(self.key_ids)) != len(self.signatures):
            raise ValueError("two signatures name the same key")
        return self

    @property
    def key_ids(self) -> list[str]:
        """As they are claimed, in their order."""
        return [one.key_id for one in self.signatures]

    def encode(self) -> bytes:
        """The bytes of the file."""
        return self.model_dump_json(indent=2).encode() + b"\n"


def sign(manifest: bytes, key: PrivateKey) -> Signature:
    """Sign the bytes of a `manifest.json`."""
    made = key.sign(PREFIX + manifest)
    return Signature(key_id=key.public.id, algorithm=ALGORITHM, signature=base64.b64encode(made).decode("ascii"))


def with_signature(held: SignatureFile | None, new: Signature) -> SignatureFile:
    """Add a signature; an older one by the same key gives way.

    Raises:
        SignatureError: there is no room for another.
    """
    others = [one for one in held.signatures if one.key_id != new.key_id] if held else []
    if len(others) >= SIGNATURES_MAX:
        raise SignatureError(f"the bundle bears {len(others)} signatures, at most {SIGNATURES_MAX} are kept; --only drops them")
    return SignatureFile(signatures=(*others, new))


def read(folder: Path, origin: Path) -> SignatureFile | None:
    """Read the signatures of an opened bundle; None if it has none. Nothing is checked but the form.

    Args:
        folder: where the bundle's files lie.
        origin: names the bundle in messages.

    Raises:
        SignatureError: the file is a link, too large, of a later version, or malformed.
    """
    try:
        data = small_file.read(folder / SIGNATURE_NAME, size_max=FILE_MAX_BYTES, error=SignatureError, follow_links=False)
    except FileNotFoundError:
        return None
    return parse(data, origin)


def parse(data: bytes, origin: Path) -> SignatureFile:
    """Read the bytes of a `manifest.sig`.

    Raises:
        SignatureError: not JSON, of a later version, or with a wrong field.
    """
    try:
        raw = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise SignatureError(
            f"{origin}: {SIGNATURE_NAME} is damaged, it is not JSON; sign the bundle again with --only"
        ) from error
    version = raw.get("schema_version") if isinstance(raw, dict) else None
    if isinstance(version, int) and version > SIGNATURE_SCHEMA:
        raise SignatureError(
            f"{origin}: {SIGNATURE_NAME} has version {str(version)[:20]}, "
            f"this isthmus reads {SIGNATURE_SCHEMA}; install a newer one"
        )
    try:
        return SignatureFile.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(step) for step in first["loc"])
        raise SignatureError(f"{origin}: {SIGNATURE_NAME} field {place[:120]!r}: {first['msg'][:300]}") from error


def check(manifest: bytes, held: SignatureFile | None, trusted: TrustedKeys, origin: Path) -> str:
    """Find a good signature by a trusted key.

    Args:
        manifest: the bytes of `manifest.json` that are then also read for their content.
        held: what `read` gave.
        trusted: whose signatures count.
        origin: names the bundle in messages.

    Returns:
        The id of the key that made it.

    Raises:
        SignatureError: there is none; the message says whether the bundle is unsigned, signed by others, or changed.
    """
    if held is None:
        raise SignatureError(
            f"{origin} is not signed; a signature by {trusted} is needed, made with: isthmus keys sign {origin} --key NAME.key"
        )
    reasons = []
    for one in held.signatures:
        key = trusted.keys.get(one.key_id)
        if key is None:
            continue
        made = _decoded(one)
        if one.algorithm != ALGORITHM:
            reasons.append(f"the signature by {one.key_id} is {one.algorithm}, this version knows {ALGORITHM}")
        elif made is not None and key.made(made, PREFIX + manifest):
            return key.id
        else:
            reasons.append(
                f"the signature by {one.key_id} is not over this manifest.json: it is damaged, "
                "or the bundle was changed after it was signed"
            )
    if reasons:
        raise SignatureError(f"{origin}: {reasons[0]}; sign it again, or get it again from who made it")
    raise SignatureError(
        f"{origin} is signed by {listed(held.key_ids)}, trusted is {trusted}; have it signed by a trusted key, or trust its key"
    )


def _decoded(one: Signature) -> bytes | None:
    """The signature's bytes; None if they are not in base64 as we write it, or not of Ed25519's length."""
    try:
        made = base64.b64decode(one.signature.encode("ascii"), validate=True)
    except (binascii.Error, ValueError):
        return None
    canonical = base64.b64encode(made).decode("ascii") == one.signature
    return made if canonical and len(made) == SIGNATURE_BYTES else None
