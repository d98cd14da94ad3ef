"""The certificate that a client showed and TLS has verified: whose it is and what it allows.

Scopes stand in the subject as organizational units: `OU=infer`. Other units mean nothing here. A certificate without a scope may
be a device: `stream`.
"""

import datetime
from dataclasses import dataclass
from functools import lru_cache

from cryptography import x509
from cryptography.x509.oid import NameOID

from isthmus.tail.security.identity import Identity
from isthmus.tail.security.scopes import Scope

DEFAULT_SCOPES = frozenset({Scope.STREAM})
_KEPT = 1024
"""Parsed certificates that are remembered: a call of a known client should not parse it again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientCertificate:
    """What is needed of it."""

    identity: Identity
    expires: datetime.datetime
    issuer_and_serial: tuple[bytes, int]
    """Issuer in DER; the two name a certificate."""


@lru_cache(maxsize=_KEPT)
def parse(encoded: bytes) -> ClientCertificate:
    """Read a certificate that TLS has verified.

    Args:
        encoded: PEM, as gRPC gives it, or DER, as Python's TLS does.
    """
    found = x509.load_pem_x509_certificate(encoded) if encoded.startswith(b"-----") else x509.load_der_x509_certificate(encoded)
    return ClientCertificate(
        identity=Identity(name=_name(found), kind="certificate", scopes=_scopes(found)),
        expires=found.not_valid_after_utc,
        issuer_and_serial=(found.issuer.public_bytes(), found.serial_number),
    )


def _name(found: x509.Certificate) -> str:
    common = _texts(found, NameOID.COMMON_NAME)
    return common[0] if common else f"serial {found.serial_number:x}"


def _scopes(found: x509.Certificate) -> frozenset[Scope]:
    units = {unit.lower() for unit in _texts(found, NameOID.ORGANIZATIONAL_UNIT_NAME)}
    return frozenset(scope for scope in Scope if scope in units) or DEFAULT_SCOPES


def _texts(found: x509.Certificate, kind: x509.ObjectIdentifier) -> list[str]:
    return [str(attribute.value) for attribute in found.subject.get_attributes_for_oid(kind)]
