"""`isthmus tokens`: who may call a server, and for what."""

import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from isthmus.cli import guard
from isthmus.cli.bundles import JsonOption
from isthmus.cli.results import print_json, print_table
from isthmus.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from isthmus.tail.security.scopes import Scope
    from isthmus.tail.security.token import Grant

SCOPES = ("stream", "infer", "admin", "evidence", "metrics", "bundle")
"""Those of `isthmus.tail.security.scopes`, for the help; a test keeps them equal."""

app = typer.Typer(help="Make, list and revoke the tokens that a server asks for.", no_args_is_help=True)

FileArgument = Annotated[Path, typer.Argument(metavar="FILE", help="Token file, as isthmus serve --tokens FILE reads it.")]


@app.command("new")
@guard.guarded
def new(
    file: FileArgument,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Who gets it; tokens of one name are one caller.")],
    scopes: Annotated[str, typer.Option(help=f"What it allows, with commas between: {', '.join(SCOPES)}.")] = "stream",
    days: Annotated[int | None, typer.Option(min=1, help="How long it is good; without, until it is revoked.")] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="New file for the token, as run --token-file reads it.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Make a token; FILE keeps its hash only, so this is the one time that it is seen."""
    from pydantic import ValidationError

    from isthmus.contract import small_file
    from isthmus.tail.security import token_file
    from isthmus.tail.security.token import Grant

    now = _now()
    expires = None if days is None else now + datetime.timedelta(days=days)
    try:
        grant, text = Grant.make(name, _scopes(scopes), created=now, expires=expires)
    except ValidationError as error:
        raise UsageError(f"token name {name[:80]!r} is not plain: letters, digits, '.', '-' and '_', at most 64") from error
    if output is not None:
        small_file.create(output, f"{text}\n".encode(), mode=token_file.MODE, error=ConfigError)
    try:
        token_file.add(file, grant)
    except ConfigError:
        if output is not None:
            output.unlink(missing_ok=True)
        raise
    if as_json:
        shown = {"file": str(output)} if output is not None else {"token": text}
        print_json({"command": "tokens new", "tokens": str(file)}, [{**_row(grant, now), **shown}])
        return
    if output is None:
        typer.echo(text)
        _say("This is shown once; give it to its owner over a way you trust, in a file that only the owner reads (chmod 600)")
    until = f"until {expires:%Y-%m-%d %H:%M} UTC" if expires else "until it is revoked"
    _say(f"token {grant.id} of {grant.name} allows {', '.join(grant.scopes)}, {until}")
    _say(f"Next: isthmus serve BUNDLE --tokens {file}; isthmus run BUNDLE --token-file {output or 'TOKEN-FILE'}")


@app.command("list")
@guard.guarded
def list_tokens(file: FileArgument, as_json: JsonOption = False) -> None:
    """List the tokens of a file: ids, names and scopes; nothing of the tokens themselves."""
    from isthmus.tail.security import token_file

    now = _now()
    rows = [_row(grant, now) for grant in token_file.read(file).values()]
    if as_json:
        print_json({"command": "tokens list", "tokens": str(file)}, rows)
        return
    columns = ["id", "name", "scopes", "created", "expires", "state"]
    print_table(str(file), columns, [[_cell(row[column]) for column in columns] for row in rows])


@app.command("revoke")
@guard.guarded
def revoke(
    file: FileArgument,
    wanted: Annotated[str, typer.Argument(metavar="ID|NAME", help="One token by its id, or all of a name.")],
    as_json: JsonOption = False,
) -> None:
    """Revoke tokens: servers that read FILE refuse them from the next call on, and end their streams within a second or two."""
    from isthmus.tail.security import token_file

    now = _now()
    revoked = token_file.revoke(file, wanted, now)
    if as_json:
        print_json({"command": "tokens revoke", "tokens": str(file)}, [_row(grant, now) for grant in revoked])
        return
    for grant in revoked:
        typer.echo(f"token {grant.id} of {grant.name} is revoked")
    if not revoked:
        typer.echo(f"{wanted} was revoked already")


def _scopes(text: str) -> "tuple[Scope, ...]":
    from isthmus.tail.security.scopes import Scope

    found = tuple(dict.fromkeys(word.strip().lower() for word in text.split(",")))
    unknown = [word for word in found if word not in SCOPES]
    if unknown:
        raise UsageError(f"--scopes {unknown[0][:80]!r} is no scope; there are {', '.join(SCOPES)}")
    return tuple(Scope(word) for word in found)


def _row(grant: "Grant", now: datetime.datetime) -> dict[str, object]:
    return {
        "id": grant.id,
        "name": grant.name,
        "scopes": [str(scope) for scope in grant.scopes],
        "created": grant.created.isoformat(),
        "expires": grant.expires.isoformat() if grant.expires else None,
        "state": grant.state(now),
    }


def _cell(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(value)
    return "never" if value is None else str(value)


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC).replace(microsecond=0)


def _say(line: str) -> None:
    """Beside the token, which alone goes to standard output, so that it can be piped."""
    guard.err.print(line, markup=False, highlight=False, soft_wrap=True)
