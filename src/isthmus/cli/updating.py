"""`isthmus device update`: updates over the air, by hand."""

import hashlib
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from isthmus.cli import guard
from isthmus.cli.bundles import JsonOption, TrustOption
from isthmus.cli.connection import InsecureOption, TlsCaOption, TlsCertOption, TlsKeyOption, TokenFileOption
from isthmus.cli.results import print_json, print_table
from isthmus.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from isthmus.cli.agent_file import AgentFile
    from isthmus.head.update.staging import Running, Staging
    from isthmus.head.update.state import UpdateState
    from isthmus.head.update.store import UpdateStore

ConfigOption = Annotated[Path | None, typer.Option(help="agent.toml of the agent.")]
BundleOption = Annotated[Path | None, typer.Option(help="The bundle that the agent was set up with.")]
StoreOption = Annotated[Path, typer.Option("--update-folder", help="Where the agent keeps its updates.")]
TailOption = Annotated[list[str] | None, typer.Option(help="HOST:PORT of the agent's server; repeatable.")]
SourceArgument = Annotated[
    str | None,
    typer.Argument(metavar="SOURCE", help="tail, HOST:PORT, https://..., or a bundle; default update_source of --config."),
]

app = typer.Typer(help="Look for, take, give back a bundle of an update.", no_args_is_help=True)
_NO_SETTINGS = {"config", "as_json", "new", "downgrade", "again"}


@app.command("check")
@guard.guarded
def check(
    context: typer.Context,
    new: SourceArgument = None,
    config: ConfigOption = None,
    bundle: BundleOption = None,
    update_folder: StoreOption = Path("updates"),
    tail: TailOption = None,
    tls_ca: TlsCaOption = None,
    tls_cert: TlsCertOption = None,
    tls_key: TlsKeyOption = None,
    token_file: TokenFileOption = None,
    insecure: InsecureOption = False,
    trust: TrustOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say whether a source has something new, without taking it."""
    asked = _asked(context, config)
    staging, running = _parts(asked)
    source = _source(asked, new, running)
    found, offer = staging.look(source, running)
    row = {
        "source": source.name,
        "kind": "new" if found is None else found.kind,
        "words": f"{source.name} has another bundle" if found is None else found.words,
        "size_bytes": offer.size_bytes,
        "archive": offer.sha256,
    }
    _tell("device update check", row, as_json=as_json)


@app.command("apply")
@guard.guarded
def apply(
    context: typer.Context,
    new: SourceArgument = None,
    config: ConfigOption = None,
    bundle: BundleOption = None,
    update_folder: StoreOption = Path("updates"),
    tail: TailOption = None,
    tls_ca: TlsCaOption = None,
    tls_cert: TlsCertOption = None,
    tls_key: TlsKeyOption = None,
    token_file: TokenFileOption = None,
    insecure: InsecureOption = False,
    trust: TrustOption = None,
    downgrade: Annotated[bool, typer.Option("--downgrade", help="Take an older one too.")] = False,
    again: Annotated[bool, typer.Option("--again", help="Take one that was refused or rolled back before.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Fetch a bundle, check its signature and digests, run its golden frames, and make it ready.

    A running agent goes over to it between two frames, once a server has it too; an agent that does not run begins with what ran
    last and goes over then.
    """
    asked = _asked(context, config)
    staging, running = _parts(asked)
    source = _source(asked, new, running)
    found = staging.take(source, running, again=again, downgrade=downgrade or asked.update_downgrade, at_once=True)
    words = f"{found.words}; the agent goes over to it when a server has it too" if found.kind == "ready" else found.words
    _tell(
        "device update apply",
        {"source": source.name, "kind": found.kind, "words": words, "archive": found.digest},
        as_json=as_json,
    )


@app.command("rollback")
@guard.guarded
def rollback(
    context: typer.Context,
    config: ConfigOption = None,
    update_folder: StoreOption = Path("updates"),
    as_json: JsonOption = False,
) -> None:
    """Go back to what ran before, and do not take this bundle again; a bundle that is only ready is withdrawn.

    A running agent goes back between two frames.
    """
    store = _store(_asked(context, config))
    before = store.read()
    after = store.change(_withdraw)
    if after == before:
        raise ConfigError(f"there is nothing to go back to: {store.folder} has no update that runs or is ready")
    back = before.current != after.current
    words = f"back to {after.current[:12]}" if back else f"{before.next[:12]} is withdrawn, {after.current[:12]} goes on"
    _tell("device update rollback", {"words": words, **_facts(after)}, as_json=as_json)


@app.command("status")
@guard.guarded
def status(
    context: typer.Context,
    config: ConfigOption = None,
    update_folder: StoreOption = Path("updates"),
    as_json: JsonOption = False,
) -> None:
    """Show which bundle runs, which ran before, which is ready, and which are not taken again."""
    state = _store(_asked(context, config)).read()
    if as_json:
        print_json({"command": "device update status"}, [_facts(state)])
        return
    rows = [[name.replace("_", " "), str(value) or "-"] for name, value in _facts(state).items() if name != "rejected"]
    rows += [["rejected", f"{digest[:12]}: {why}"] for digest, why in state.rejected.items()]
    print_table("Updates", ["what", "value"], rows, left=("value",))


def _withdraw(state: "UpdateState") -> "UpdateState":
    if state.next:
        return state.reject(state.next, "withdrawn by hand")
    return state.roll_back("rolled back by hand")


def _facts(state: "UpdateState") -> dict[str, Any]:
    return {
        "current": state.current,
        "on_trial": state.on_trial,
        "previous": state.previous,
        "next": state.next,
        "rejected": state.rejected,
    }


def _asked(context: typer.Context, config: Path | None) -> "AgentFile":
    from isthmus.cli.agent_file import given_flags, read_agent_file

    guard.only_warnings()
    return read_agent_file(config, given_flags(context, but=_NO_SETTINGS))


def _store(asked: "AgentFile") -> "UpdateStore":
    from isthmus.head.update.store import UpdateStore

    store = UpdateStore(asked.update_folder)
    if not store.exists:
        raise ConfigError(f"{store.folder} holds no updates; name the folder with --update-folder, or the agent's --config")
    return store


def _parts(asked: "AgentFile") -> "tuple[Staging, Running]":
    """What an update by hand needs; nothing of it runs."""
    from isthmus.head.update.boot import open_named, set_up
    from isthmus.head.update.download import DownloadSettings
    from isthmus.head.update.precedence import Edition
    from isthmus.head.update.settings import part_of
    from isthmus.head.update.staging import Running, Staging
    from isthmus.head.update.store import UpdateStore

    if (factory := asked.bundle) is None:
        raise UsageError("no bundle is named: give --bundle, the one that the agent was set up with, or --config")
    settings, updates = asked.model_copy(update={"source": asked.source or ""}).for_agent(), asked.for_updates()
    store = UpdateStore(updates.folder).prepare()
    state = store.change(lambda known: set_up(known, factory))
    bundle = open_named(store, state.current, factory, updates.trusted())
    running = Running(edition=Edition.of(bundle.manifest), manifest_sha256=hashlib.sha256(bundle.manifest_bytes).hexdigest())
    # By hand nobody waits for a pace: whoever watches wants it done.
    pace = DownloadSettings(bytes_per_s=None)
    return Staging(store, part_of(settings, updates.trust), pace, wait=_wait), running


def _wait(seconds: float) -> bool:
    time.sleep(seconds)
    return False


def _source(asked: "AgentFile", named: str | None, running: "Running") -> Any:  # noqa: ANN401 - head is imported late
    from isthmus.head.update.settings import open_update_source

    reference = named or asked.update_source
    if not reference:
        raise UsageError("no source is named: give SOURCE, or `update_source` in the file of --config")
    settings = asked.model_copy(update={"source": asked.source or ""}).for_agent()
    return open_update_source(reference, settings, running.edition.id)


def _tell(command: str, row: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json({"command": command}, [row])
        return
    guard.out.print(row["words"], highlight=False, soft_wrap=True)
