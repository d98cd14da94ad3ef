"""`isthmus evidence`: look at what a device saw."""

from pathlib import Path
from typing import Annotated

import typer

from isthmus.bench.words import size
from isthmus.cli import guard
from isthmus.cli.connection import InsecureOption, TlsCaOption, TlsCertOption, TlsKeyOption, TokenFileOption, credentials
from isthmus.cli.quantity import seconds
from isthmus.errors import ConfigError, UsageError


def evidence(
    device: Annotated[str, typer.Argument(metavar="DEVICE", help="Name of the device, as in its records and the server's log.")],
    sequence: Annotated[int, typer.Argument(metavar="SEQUENCE", min=0, help="Number of the frame.")],
    tail: Annotated[str, typer.Option(help="HOST:PORT of the server that the device is connected to.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Picture to write; default DEVICE-SEQUENCE.jpg.")] = Path(),
    session: Annotated[str, typer.Option(help="Session of the frame in hexadecimal; default the device's latest.")] = "",
    purpose: Annotated[str, typer.Option(help="Why; it is said in the server's audit log.")] = "",
    timeout: Annotated[str, typer.Option(help="How long it may take.")] = "15s",
    tls_ca: TlsCaOption = None,
    tls_cert: TlsCertOption = None,
    tls_key: TlsKeyOption = None,
    token_file: TokenFileOption = None,
    insecure: InsecureOption = False,
) -> None:
    """Fetch the picture of a frame from the device that holds it.

    The device's agent must run with --evidence; it keeps the newest pictures only. The server's audit log has every request.
    """
    from isthmus.contract.generated import split_pb2 as wire
    from isthmus.head.inquiry import fetch_frame

    try:
        named = bytes.fromhex(session)
    except ValueError as error:
        raise UsageError(f"--session {session!r} is not hexadecimal; records and logs have it as 32 digits") from error
    request = wire.FetchFrameRequest(device_id=device, session=named, sequence=sequence, purpose=purpose)
    shown = credentials(tls_ca, tls_cert, tls_key, token_file, insecure=insecure)
    picture = fetch_frame(tail, request, timeout_s=seconds(timeout, "--timeout"), credentials=shown)
    # A device's name is foreign: it must not choose a folder.
    plain = "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in device).lstrip(".") or "device"
    target = output if output != Path() else Path(f"{plain}-{sequence}.{picture.format.replace('jpeg', 'jpg')}")
    try:
        target.write_bytes(picture.data)
    except OSError as error:
        raise ConfigError(f"{target} cannot be written: {error.strerror}; name another file with -o") from error
    guard.out.print(f"{target}: {size(len(picture.data))}", highlight=False)
