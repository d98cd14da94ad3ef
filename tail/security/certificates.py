"""TLS of a server: the certificate that it shows, and the authorities whose clients it believes.

Both ports ask for the current ones at every handshake, so new files count from the next connection on.
"""

import datetime
import re
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import grpc
import structlog
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from isthmus.contract import certificate
from isthmus.errors import ConfigError
from isthmus.tail.security.settings import SecuritySettings
from isthmus.tail.security.watched import Watched

REVOCATION_LIST = re.compile(rb"-----BEGIN X509 CRL-----\s.*?-----END X509 CRL-----", re.DOTALL)

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """What one state of the files says."""

    chain: bytes
    key: bytes
    client_ca: bytes | None
    """Certificates only."""
    revoked: frozenset[tuple[bytes, int]]
    """Issuer (DER) and serial number of client certificates that count no more."""
    context: ssl.SSLContext
    """For the pages."""

    def for_grpc(self) -> grpc.ServerCertificateConfiguration:
        """The same for gRPC."""
        return grpc.ssl_server_certificate_configuration([(self.key, self.chain)], self.client_ca)


class Certificates:
    """Certificates of a server, as its files have them.

    Args:
        settings: with `tls_cert` and `tls_key`.

    Raises:
        ConfigError: a file cannot be used.
    """

    def __init__(self, settings: SecuritySettings) -> None:
        if settings.tls_cert is None or settings.tls_key is None:
            raise ConfigError("TLS needs a certificate and its key")
        self._chain, self._key, self._client_ca = settings.tls_cert, settings.tls_key, settings.tls_client_ca
        paths = [path for path in (self._chain, self._key, self._client_ca) if path is not None]
        self._watched = Watched("certificates", paths, self._read)

    @classmethod
    def of(cls, settings: SecuritySettings) -> Self | None:
        """Those of the settings, None without TLS."""
        return cls(settings) if settings.tls_cert is not None else None

    @property
    def asks_clients(self) -> bool:
        """Whether clients must show a certificate."""
        return self._client_ca is not None

    def current(self) -> Material:
        """What the files say now."""
        return self._watched.get()

    def for_grpc(self) -> grpc.ServerCredentials:
        """Credentials of a gRPC port. gRPC refuses TLS below 1.2 by itself."""
        first = self.current()
        handed_out = [first]

        def fetch() -> grpc.ServerCertificateConfiguration | None:
            material = self.current()
            if handed_out == [material]:
                return None
            handed_out[:] = [material]
            return material.for_grpc()

        return grpc.dynamic_ssl_server_credentials(first.for_grpc(), fetch, self.asks_clients)

    def _read(self) -> Material:
        chain, key = certificate.read(self._chain), certificate.read(self._key)
        certificate.check_pair(chain, key, chain=self._chain, key=self._key, now=_now())
        if self._key.stat().st_mode & 0o077:
            _log.warning("the TLS key can be read by others", file=str(self._key), mend=f"chmod 600 {self._key}")
        client_ca, revoked = self._read_client_ca()
        context = self._context(client_ca)
        return Material(chain=chain, key=key, client_ca=client_ca, revoked=revoked, context=context)

    def _read_client_ca(self) -> tuple[bytes | None, frozenset[tuple[bytes, int]]]:
        if self._client_ca is None:
            return None, frozenset()
        pem = certificate.read(self._client_ca)
        authorities = certificate.certificates(pem, self._client_ca)
        revoked: set[tuple[bytes, int]] = set()
        for block in REVOCATION_LIST.findall(pem):
            revoked |= _revoked(block, authorities, self._client_ca)
        return b"".join(authority.public_bytes(Encoding.PEM) for authority in authorities), frozenset(revoked)

    def _context(self, client_ca: bytes | None) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            context.load_cert_chain(self._chain, self._key)
        except (ssl.SSLError, OSError) as error:
            raise ConfigError(f"{self._chain} and {self._key} cannot be used: {error.strerror or error}") from error
        if client_ca is not None:
            context.load_verify_locations(cadata=client_ca.decode("ascii"))
            # Optional: probes ask for health without a certificate; the porter refuses them everything else.
            context.verify_mode = ssl.CERT_OPTIONAL
        return context


def _revoked(block: bytes, authorities: list[x509.Certificate], path: Path) -> set[tuple[bytes, int]]:
    """What a revocation list takes back. One that is past its date still counts: what it revokes stays revoked."""
    try:
        revocations = x509.load_pem_x509_crl(block + b"\n")
        signed = any(_signed(revocations, authority) for authority in authorities)
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{path} holds a revocation list that cannot be read") from error
    if not signed:
        raise ConfigError(f"{path} holds a revocation list that none of its authorities has signed")
    if revocations.next_update_utc is not None and revocations.next_update_utc < _now():
        _log.warning("a newer revocation list is due", file=str(path), due=revocations.next_update_utc.isoformat())
    issuer = revocations.issuer.public_bytes()
    return {(issuer, entry.serial_number) for entry in revocations}


def _signed(revocations: x509.CertificateRevocationList, authority: x509.Certificate) -> bool:
    return revocations.issuer == authority.subject and revocations.is_signature_valid(authority.public_key())  # type: ignore[arg-type]


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)
