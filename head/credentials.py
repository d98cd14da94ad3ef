"""What a device shows to a server, and what it asks the server to show: TLS and the token.

The files are read for every connection, so that what was renewed counts from the next one on.
"""

import datetime
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import grpc

from isthmus.contract import certificate, small_file
from isthmus.contract.address import is_loopback
from isthmus.errors import ConfigError

TOKEN_FILE_MAX_BYTES = 4096
_TOKEN = re.compile(r"[!-~]{1,1024}")
"""Visible ASCII: what a header can carry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """Files; without any of them the connection is plain and anonymous."""

    ca: Path | None = None
    """Authorities of whom one must have signed the server's certificate; PEM. Its presence is what asks for TLS."""

    certificate: Path | None = None
    """The device's own, where the server asks for one; PEM."""

    key: Path | None = None
    """Its private key, not encrypted."""

    token_file: Path | None = None
    """A file with one token."""

    insecure: bool = False
    """Send the token over a plain connection beyond loopback too."""

    def __post_init__(self) -> None:
        if (self.certificate is None) != (self.key is None):
            raise ConfigError("--tls-cert and --tls-key belong together; one is missing")
        if self.certificate is not None and self.ca is None:
            raise ConfigError("--tls-cert needs --tls-ca: without TLS no certificate is shown")

    def check_address(self, address: str) -> None:
        """Check that a server may be called with these.

        Raises:
            ConfigError: the token would cross a network where it can be read.
        """
        host = address.rpartition(":")[0]
        if self.token_file is not None and self.ca is None and not self.insecure and not is_loopback(host):
            raise ConfigError(
                f"the token would go to {address} without TLS, where others can read it: give --tls-ca, "
                "or --insecure on a network you trust"
            )

    def open_channel(self, address: str, options: Sequence[tuple[str, int]]) -> grpc.Channel:
        """A gRPC channel; it connects with the first call.

        Raises:
            ConfigError: a file cannot be used, or `check_address`.
        """
        self.check_address(address)
        if self.ca is None:
            return grpc.insecure_channel(address, options=options)
        authorities = certificate.read(self.ca)
        certificate.certificates(authorities, self.ca)
        chain = key = None
        if self.certificate is not None and self.key is not None:
            chain, key = certificate.read(self.certificate), certificate.read(self.key)
            now = datetime.datetime.now(datetime.UTC)
            certificate.check_pair(chain, key, chain=self.certificate, key=self.key, now=now)
        return grpc.secure_channel(address, grpc.ssl_channel_credentials(authorities, key, chain), options=options)

    def metadata(self) -> tuple[tuple[str, str], ...]:
        """What goes with every call. Not for logs.

        Raises:
            ConfigError: the token file cannot be read.
        """
        if self.token_file is None:
            return ()
        return (("authorization", f"Bearer {_read_token(self.token_file)}"),)


def _read_token(path: Path) -> str:
    try:
        text = small_file.read(path, size_max=TOKEN_FILE_MAX_BYTES, error=ConfigError).decode("ascii", "replace").strip()
    except FileNotFoundError as error:
        raise ConfigError(f"there is no token file {path}; isthmus tokens new FILE NAME -o {path} makes one") from error
    if not _TOKEN.fullmatch(text):
        raise ConfigError(f"{path} holds no token: one line of visible characters is needed, as isthmus tokens new prints it")
    return text
