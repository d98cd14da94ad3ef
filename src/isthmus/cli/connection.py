"""Options of every command that calls a server: TLS and the token."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from isthmus.head.credentials import Credentials

TlsCaOption = Annotated[Path | None, typer.Option(help="Authority of the server's certificate, PEM; asks for TLS.")]
TlsCertOption = Annotated[Path | None, typer.Option(help="Certificate of this device, where the server asks for one; PEM.")]
TlsKeyOption = Annotated[Path | None, typer.Option(help="Its private key; PEM, not encrypted.")]
TokenFileOption = Annotated[Path | None, typer.Option(help="File with the token that the server asks for.")]
InsecureOption = Annotated[bool, typer.Option("--insecure", help="Send the token without TLS beyond loopback too.")]


def credentials(
    tls_ca: Path | None, tls_cert: Path | None, tls_key: Path | None, token_file: Path | None, *, insecure: bool
) -> "Credentials":
    """What these options say.

    Raises:
        ConfigError: they contradict each other.
    """
    from isthmus.head.credentials import Credentials

    return Credentials(ca=tls_ca, certificate=tls_cert, key=tls_key, token_file=token_file, insecure=insecure)
