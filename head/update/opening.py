"""Opens an agent that updates itself, with the bundle that should run; one on trial that does not even start gives way."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import structlog

from isthmus.contract.bundle import Bundle, open_bundle
from isthmus.errors import ConfigError, ContractMismatch, IsthmusError, TailUnavailable
from isthmus.head.agent import Agent
from isthmus.head.opening import open_agent
from isthmus.head.settings import AgentSettings
from isthmus.head.sink import Sink
from isthmus.head.update.boot import choose
from isthmus.head.update.settings import UpdateSettings
from isthmus.head.update.state import UpdateState
from isthmus.head.update.store import UpdateStore
from isthmus.head.update.updater import Updater

STARTS = 3
"""With what should run, with what that gave way to, and with what came in place of a bundle that no server has any more."""

_log = structlog.get_logger(__name__)


class Opened(NamedTuple):
    """An agent, ready to run."""

    agent: Agent
    bundle: Bundle
    updater: Updater | None
    """None where nothing is ever updated; else a context manager for the run."""


@contextmanager
def open_updating(
    factory: Path,
    settings: AgentSettings,
    updates: UpdateSettings,
    sinks: Sequence[Sink] = (),
    *,
    needs_server: bool = False,
    counts: bool = True,
    check: Callable[[Bundle], None] = lambda _bundle: None,
) -> Iterator[Opened]:
    """Open an agent that updates itself, as `open_agent` opens one that does not.

    Args:
        factory: the bundle that it was set up with.
        settings: how it runs.
        updates: how it updates itself.
        sinks: further ones.
        needs_server: wait for the server in any case.
        counts: see `boot.choose`; what does not count mends nothing either.
        check: raises where the settings do not fit a bundle.
    """
    store = _store(updates)
    if store is None:
        bundle = open_bundle(factory, trusted=updates.trusted())
        check(bundle)
        with open_agent(bundle, settings, sinks, needs_server=needs_server) as agent:
            yield Opened(agent=agent, bundle=bundle, updater=None)
        return
    for left in reversed(range(STARTS)):
        chosen = choose(store, factory, updates.trusted(), counts=counts)
        updater = Updater(store, updates, factory=factory, chosen=chosen, agent_settings=settings)
        with ExitStack() as stack:
            try:
                check(chosen.bundle)
                opening = open_agent(
                    chosen.bundle, settings, [*sinks, updater.probation], needs_server=needs_server, patient=True
                )
                agent = stack.enter_context(opening)
            except IsthmusError as error:
                if counts and left and _mended(store, updater, error):
                    continue
                raise
            yield Opened(agent=agent, bundle=chosen.bundle, updater=updater.watch(agent))
            return


def _store(updates: UpdateSettings) -> UpdateStore | None:
    """The folder of updates, where there are any or may be some."""
    store = UpdateStore(updates.folder)
    if not updates.source and not store.exists:
        return None
    try:
        return store.prepare()
    except ConfigError as error:
        # A card that became read-only is no reason not to answer frames.
        _log.error("no updates", reason=str(error))
        return store if store.exists else None


def _mended(store: UpdateStore, updater: Updater, error: IsthmusError) -> bool:
    """Whether another bundle should run than the one that did not start."""
    refused = isinstance(error, ContractMismatch) or isinstance(error.__cause__, ContractMismatch)
    on_trial = store.read().on_trial
    if isinstance(error, TailUnavailable) and not refused:
        if on_trial:
            store.change(UpdateState.excuse)
        return False
    if on_trial:
        _log.error("the new bundle does not start; back to what ran before", reason=str(error))
        store.change(lambda state: state.roll_back(f"it does not start: {error}"))
        return True
    return refused and updater.catch_up()
