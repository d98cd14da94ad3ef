"""Files that say whom a server shows itself as, and whom it lets in."""

from dataclasses import dataclass
from pathlib import Path

from isthmus.contract.address import is_loopback
from isthmus.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class SecuritySettings:
    """Paths; all of these files are read again when they change."""

    tls_cert: Path | None = None
    """The server's certificate, then those that lead to its authority; PEM."""

    tls_key: Path | None = None
    """Its private key, not encrypted."""

    tls_client_ca: Path | None = None
    """Authorities of the devices: only who has a certificate by one of them gets through. May hold revocation lists too."""

    tokens: Path | None = None
    """Tokens of which one is needed for every call but health."""

    def __post_init__(self) -> None:
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ConfigError("--tls-cert and --tls-key belong together; one is missing")
        if self.tls_client_ca is not None and self.tls_cert is None:
            raise ConfigError("--tls-client-ca needs --tls-cert and --tls-key: certificates are shown inside TLS only")

    def check_reach(self, host: str) -> None:
        """Check that it may be listened on an address.

        Raises:
            ConfigError: it is beyond loopback and there is no TLS.
        """
        if self.tls_cert is not None or is_loopback(host):
            return
        tokens = "; tokens could be read off the wire there" if self.tokens else ""
        raise ConfigError(
            f"host {host} is reachable from other machines and there is no TLS{tokens}: give --tls-cert and --tls-key, "
            "use 127.0.0.1, or --insecure on a network you trust"
        )
