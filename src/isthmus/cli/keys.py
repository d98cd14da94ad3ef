"""`isthmus keys`: who vouches for a bundle, and whose word counts."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from isthmus.cli import guard
from isthmus.cli.bundles import BundleArgument, JsonOption
from isthmus.cli.results import print_json, print_table
from isthmus.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from isthmus.contract.key import PrivateKey

PASSPHRASE_VARIABLE = "ISTHMUS_KEY_PASSPHRASE"

app = typer.Typer(help="Make, change and trust the keys that sign bundles.", no_args_is_help=True)

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="Name of the files: NAME.key and NAME.pub.")]
FolderOption = Annotated[Path, typer.Option("--output", "-o", help="Folder to write to; made if it is not there.")]
PassphraseOption = Annotated[
    bool, typer.Option("--passphrase", help=f"Encrypt the private key; asks, or takes ${PASSPHRASE_VARIABLE}.")
]


@app.command("new")
@guard.guarded
def new(
    name: NameArgument, output: FolderOption = Path(), passphrase: PassphraseOption = False, as_json: JsonOption = False
) -> None:
    """Make an Ed25519 key pair; nothing is ever overwritten."""
    from isthmus.contract import key_file
    from isthmus.contract.key import PrivateKey

    made = PrivateKey.generate()
    private, public = key_file.write_pair(name, output, made, passphrase=_new_passphrase(passphrase))
    if as_json:
        print_json({"command": "keys new"}, [{"key_id": made.public.id, "private": str(private), "public": str(public)}])
        return
    _say(f"key {made.public.id}")
    _say(f"{private}: private, signs bundles; keep it secret, and keep a copy of it")
    _say(f"{public}: public; give it to servers and devices, with the key id over another way")
    _say(f"Next: isthmus keys sign BUNDLE --key {private}; isthmus serve BUNDLE --trust {public}")


@app.command("sign")
@guard.guarded
def sign(
    bundle: BundleArgument,
    key: Annotated[Path, typer.Option("--key", help="Private key.")],
    only: Annotated[bool, typer.Option("--only", help="Drop the signatures of all other keys.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Sign a bundle, beside the signatures it has; the contract digest stays."""
    from isthmus.contract import signature
    from isthmus.contract.sealing import sign_bundle

    signed = sign_bundle(bundle, open_private(key), only=only)
    held = signature.read(signed.folder, signed.origin)
    ids = held.key_ids if held else []
    if as_json:
        print_json({"command": "keys sign", "bundle": str(bundle)}, [{"key_id": signed.signed_by, "signatures": ids}])
        return
    others = [found for found in ids if found != signed.signed_by]
    _say(f"{bundle} is signed by {signed.signed_by}" + (f", and bears signatures by {', '.join(others)}" if others else ""))
    _say(f"Next: isthmus verify {bundle} --key NAME.pub")


@app.command("rotate")
@guard.guarded
def rotate(
    old: Annotated[Path, typer.Argument(metavar="OLD", help="Private key that goes out of use.")],
    name: NameArgument,
    output: FolderOption = Path(),
    passphrase: PassphraseOption = False,
    as_json: JsonOption = False,
) -> None:
    """Make a key that follows an old one, and a statement of that, signed by the old one.

    The new private key is encrypted if the old one is.
    """
    from isthmus.contract import key_file, small_file, succession
    from isthmus.contract.key import PrivateKey

    statement = output / f"{name}{succession.SUFFIX}"
    if statement.exists():
        raise ConfigError(f"{statement} is there already and is not overwritten; choose another name")
    asked: list[bytes] = []
    former = open_private(old, asked.append)
    made = PrivateKey.generate()
    private, public = key_file.write_pair(name, output, made, passphrase=_new_passphrase(passphrase or bool(asked)))
    small_file.create(statement, succession.state(former, made.public).encode(), mode=0o644, error=ConfigError)
    if as_json:
        row = {"key_id": made.public.id, "old_key_id": former.public.id, "private": str(private), "public": str(public)}
        print_json({"command": "keys rotate"}, [{**row, "succession": str(statement)}])
        return
    _say(f"key {made.public.id} follows {former.public.id}")
    _say(f"{private}: private; {public}: public; {statement}: the old key's word for the new one")
    _say(f"Next: isthmus keys sign BUNDLE --key {private}, beside the old signature")
    _say(f"Then where bundles are checked: isthmus keys trust {statement} TRUSTED-FOLDER; at last remove the old key there")


@app.command("trust")
@guard.guarded
def trust(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Public key, or a succession stated by a key trusted already.")],
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Of trusted keys; made for a first public key.")],
    key_id: Annotated[str | None, typer.Option("--id", help="Key id it must have, as its owner told you.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Add a key to a folder of trusted keys. To take one back, remove its file."""
    from isthmus.contract import key_file, succession
    from isthmus.contract import trust as trusted

    if file.suffix == succession.SUFFIX:
        statement = succession.read(file)
        keys = [succession.check(statement, trusted.read_trusted(folder), file)]
    else:
        keys = key_file.read_public(file)
    if key_id is not None and [key.id for key in keys] != [key_id.strip().lower()]:
        raise ConfigError(f"{file} holds {', '.join(key.id for key in keys)}, --id says {key_id[:80]!r}; nothing was trusted")
    added = [(key, trusted.add(folder, key)) for key in keys]
    if as_json:
        rows = [{"key_id": key.id, "file": str(path) if path else None} for key, path in added]
        print_json({"command": "keys trust", "folder": str(folder)}, rows)
        return
    for key, path in added:
        _say(f"{key.id} is trusted now: {path}" if path else f"{key.id} was trusted already")
    _say(f"Next: isthmus verify BUNDLE --key {folder}; isthmus serve BUNDLE --trust {folder}")


@app.command("show")
@guard.guarded
def show(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="Key, succession, or folder of trusted keys.")],
    as_json: JsonOption = False,
) -> None:
    """Show what a key file is and the id of its key."""
    from isthmus.contract.manifest import MANIFEST_NAME

    if (path / MANIFEST_NAME).exists():
        raise UsageError(f"{path} is a bundle; isthmus inspect {path} shows its signatures")
    rows = _described(path)
    if as_json:
        print_json({"command": "keys show"}, [{"what": what, "key_id": key_id} for what, key_id in rows])
        return
    print_table(str(path), ["what", "key id"], rows)


def open_private(path: Path, on_encrypted: Callable[[bytes], None] = lambda _passphrase: None) -> "PrivateKey":
    """Read a private key; asks for the passphrase if it has one, warns if others can read the file.

    Args:
        path: of the key.
        on_encrypted: told the passphrase of an encrypted key.

    Raises:
        ConfigError: it cannot be opened.
    """
    from isthmus.contract import key_file

    def passphrase() -> bytes:
        found = _passphrase(f"Passphrase of {path}", f"{path} is encrypted")
        on_encrypted(found)
        return found

    key = key_file.read_private(path, passphrase)
    if path.stat().st_mode & 0o077:
        guard.err.print(f"{path} can be read by others: chmod 600 {path}", style="yellow", markup=False, highlight=False)
    return key


def _new_passphrase(wanted: bool) -> bytes | None:
    """For a key that is made. Whoever sets the variable wants it encrypted, with or without the option."""
    if not wanted and not os.environ.get(PASSPHRASE_VARIABLE):
        return None
    return _passphrase("Passphrase of the new key", "--passphrase asks for one", confirm=True)


def _passphrase(prompt: str, reason: str, *, confirm: bool = False) -> bytes:
    from_environment = os.environb.get(PASSPHRASE_VARIABLE.encode())
    if from_environment:
        return from_environment
    if not _is_terminal():
        raise ConfigError(f"{reason}; set {PASSPHRASE_VARIABLE}, or run it on a terminal")
    try:
        return str(typer.prompt(prompt, hide_input=True, confirmation_prompt=confirm, err=True)).encode()
    except typer.Abort:
        raise KeyboardInterrupt from None


def _is_terminal() -> bool:
    return sys.stdin.isatty()


def _described(path: Path) -> list[list[str]]:
    from isthmus.contract import key_file, succession
    from isthmus.contract import trust as trusted

    if path.is_dir():
        return [["trusted public key", key_id] for key_id in trusted.read_trusted(path).keys]
    if path.suffix == succession.SUFFIX:
        statement = succession.read(path)
        new_id = succession.new_key(statement).id
        return [["old key, which states it (not checked)", statement.old_key_id], ["new key", new_id]]
    if key_file.is_private(path):
        return [["private key", open_private(path).public.id]]
    return [["public key", key.id] for key in key_file.read_public(path)]


def _say(line: str) -> None:
    guard.out.print(line, markup=False, highlight=False, soft_wrap=True)
