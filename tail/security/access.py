"""Who is let in: the rules of one server, the same for both of its ports.

| server has | who calls | may |
|---|---|---|
| tokens | whoever sends a good token, inside of the TLS that is asked for | the scopes of the token |
| client authorities alone | whoever shows a certificate by one of them | the scopes in the certificate |
| neither | everybody | everything from this machine; from others what serves frames, see `UNKNOWN` |

A certificate that was revoked or has expired is refused, also with a good token. What needs no scope is open to everybody.
"""

import base64
import binascii
import datetime
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Self

import structlog

from isthmus.contract.address import is_loopback
from isthmus.errors import AccessError, PermissionDenied, Unauthenticated
from isthmus.tail.security import client_certificate, token_file
from isthmus.tail.security.certificates import Certificates
from isthmus.tail.security.identity import Identity, anonymous
from isthmus.tail.security.scopes import ALL, Scope
from isthmus.tail.security.settings import SecuritySettings
from isthmus.tail.security.token import Grant, id_of
from isthmus.tail.security.watched import Watched

UNKNOWN = frozenset({Scope.STREAM, Scope.INFER, Scope.METRICS})
"""What strangers from other machines may do where nobody has to prove who they are: be served, but not change what is served,
fetch pictures of devices, or take the networks away."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Admission:
    """A caller who was let in."""

    identity: Identity
    check_again: Callable[[], None]
    """Raises an AccessError once the token or the certificate counts no more."""


class Access:
    """The rules of one server.

    Args:
        grants: tokens by id, None if none are asked for.
        certificates: of the server, None without TLS.
        now: the time, with a zone.
    """

    def __init__(
        self,
        *,
        grants: Callable[[], Mapping[str, Grant]] | None = None,
        certificates: Certificates | None = None,
        now: Callable[[], datetime.datetime] = lambda: datetime.datetime.now(datetime.UTC),
    ) -> None:
        self._grants = grants
        self._certificates = certificates
        self._now = now

    @classmethod
    def of(cls, settings: SecuritySettings, certificates: Certificates | None) -> Self:
        """The rules of settings.

        Raises:
            ConfigError: the token file cannot be read.
        """
        path = settings.tokens
        if path is None:
            return cls(certificates=certificates)
        return cls(grants=Watched("tokens", [path], lambda: _read_grants(path)).get, certificates=certificates)

    @property
    def asks_tokens(self) -> bool:
        """Whether the authorization of a call matters."""
        return self._grants is not None

    @property
    def asks_certificates(self) -> bool:
        """Whether the certificate of a connection matters."""
        return self._certificates is not None and self._certificates.asks_clients

    def admit(self, scope: Scope | None, *, host: str, authorization: str | None, certificate: bytes | None) -> Admission:
        """Let a caller in.

        Args:
            scope: what the call needs; None is open to everybody.
            host: the address it comes from.
            authorization: the header or the metadata of that name.
            certificate: that TLS has verified, PEM or DER.

        Raises:
            Unauthenticated: nothing proves who calls.
            PermissionDenied: the caller lacks the scope.
        """
        try:
            return self._prove(scope, host, authorization, certificate)
        except AccessError:
            if scope is not None:
                raise
            return Admission(anonymous(host, frozenset()), _for_ever)

    def check_token(self, scope: Scope | None, authorization: str | None) -> None:
        """Refuse early, by what is known before a message is read.

        Raises:
            AccessError: as `admit`.
        """
        if self._grants is not None and scope is not None:
            self._grant(authorization).check(scope, self._now())

    def _prove(self, scope: Scope | None, host: str, authorization: str | None, certificate: bytes | None) -> Admission:
        shown = client_certificate.parse(certificate) if certificate is not None else None
        if shown is not None:
            self._check_certificate(shown)
        if self._grants is not None:
            return self._by_token(scope, self._grant(authorization), shown)
        if self.asks_certificates:
            if shown is None:
                raise Unauthenticated("this server asks for a client certificate, and none was shown")
            return self._by_certificate(scope, shown)
        return _admit_stranger(scope, host)

    def _by_token(self, scope: Scope | None, grant: Grant, shown: client_certificate.ClientCertificate | None) -> Admission:
        grant.check(scope, self._now())

        def check_again() -> None:
            if shown is not None:
                self._check_certificate(shown)
            self._held(grant.id).check(scope, self._now())

        return Admission(grant.identity, check_again)

    def _by_certificate(self, scope: Scope | None, shown: client_certificate.ClientCertificate) -> Admission:
        identity = shown.identity
        if scope is not None and scope not in identity.scopes:
            raise PermissionDenied(
                f"{identity} has the scopes {', '.join(sorted(identity.scopes))}, and this call needs {scope}; "
                "scopes stand in a certificate's subject as OU"
            )
        return Admission(identity, lambda: self._check_certificate(shown))

    def _grant(self, authorization: str | None) -> Grant:
        if authorization is None:
            raise Unauthenticated("this server asks for a token and none came; send authorization: Bearer TOKEN (--token-file F)")
        text = _token(authorization)
        grant = self._held(id_of(text) or "")
        if not grant.belongs_to(text):
            raise Unauthenticated(_NOT_KNOWN)
        return grant

    def _held(self, token_id: str) -> Grant:
        assert self._grants is not None
        grant = self._grants().get(token_id)
        if grant is None:
            raise Unauthenticated(_NOT_KNOWN)
        return grant

    def _check_certificate(self, shown: client_certificate.ClientCertificate) -> None:
        if shown.expires <= self._now():
            raise Unauthenticated(f"{shown.identity} expired on {shown.expires:%Y-%m-%d %H:%M} UTC; renew it")
        if self._certificates is not None and shown.issuer_and_serial in self._certificates.current().revoked:
            raise Unauthenticated(f"{shown.identity} was revoked by its authority")


def _for_ever() -> None:
    """Nothing that could be taken back."""


@lru_cache(maxsize=1024)
def _admit_stranger(scope: Scope | None, host: str) -> Admission:
    """Remembered, because single questions come by the thousand a second and read the same address each time."""
    scopes = ALL if is_loopback(host) or host == "unix" else UNKNOWN
    if scope is not None and scope not in scopes:
        raise PermissionDenied(
            f"{scope} is not for unknown callers from other machines; serve with --tokens, and call with a token that has it"
        )
    return Admission(anonymous(host, scopes), _for_ever)


_NOT_KNOWN = "the token is none of this server's; isthmus tokens new makes one"


def _token(authorization: str) -> str:
    """The token in `Bearer TOKEN`, or the password of `Basic`, which is what a browser can send."""
    kind, _, value = authorization.partition(" ")
    if kind.lower() == "bearer":
        return value.strip()
    if kind.lower() == "basic":
        try:
            return base64.b64decode(value, validate=True).decode().partition(":")[2]
        except (binascii.Error, UnicodeDecodeError):
            return ""
    return ""


def _read_grants(path: Path) -> dict[str, Grant]:
    grants = token_file.read(path)
    if path.stat().st_mode & 0o022:
        _log.warning("others can write the token file, and so let themselves in", file=str(path), mend=f"chmod 600 {path}")
    return grants
