"""Keeps an agent's bundle up to date while the agent runs: looks, stages, goes over, watches.

One thread. What should run stands in the store, where an operator's commands write it too; the thread makes it so.
"""

import contextlib
import hashlib
import random
import threading
import time
from pathlib import Path
from typing import Self

import structlog

from isthmus.errors import DeviceError, IsthmusError
from isthmus.head.agent import Agent
from isthmus.head.settings import AgentSettings
from isthmus.head.update.boot import Chosen
from isthmus.head.update.changeover import Changeover
from isthmus.head.update.download import DownloadSettings
from isthmus.head.update.figures import UpdateFigures
from isthmus.head.update.precedence import Edition
from isthmus.head.update.probation import Probation
from isthmus.head.update.rehearsal import Refused
from isthmus.head.update.settings import UpdateSettings, open_update_source, part_of
from isthmus.head.update.staging import Running, Staging
from isthmus.head.update.state import UpdateState
from isthmus.head.update.store import UpdateStore

LOOK_S = 1.0
"""How often the thread looks whether something has to be done; a look costs reading one small file."""
RETRY_S = 30.0
"""After a server that does not know the new bundle yet; and between looks while no server knows the one that runs."""
END_S = 5.0
"""How long the end of an agent waits for a step under way; one that is cut off is gone on with at the next start."""

_log = structlog.get_logger(__name__)


class Updater:
    """Updates one agent; use it as a context manager around the agent's run.

    Args:
        store: prepared.
        settings: how.
        factory: the bundle that the agent was set up with.
        chosen: what `boot.choose` gave.
        agent_settings: as the agent has them.

    Attributes:
        figures: what was counted.
    """

    def __init__(
        self, store: UpdateStore, settings: UpdateSettings, *, factory: Path, chosen: Chosen, agent_settings: AgentSettings
    ) -> None:
        self.figures = UpdateFigures()
        self._store = store
        self._settings = settings
        self._changeover = Changeover(
            store, settings, factory=factory, chosen=chosen, agent_settings=agent_settings, figures=self.figures
        )
        self._ending = threading.Event()
        self._staging = Staging(
            store,
            part_of(agent_settings, settings.trust),
            DownloadSettings(bytes_per_s=settings.bytes_per_s),
            wait=self._ending.wait,
            on_bytes=self.figures.received,
        )
        self._source = open_update_source(settings.source, agent_settings, chosen.bundle.manifest.id) if settings.source else None
        self._next_look = time.monotonic() + random.uniform(0, min(settings.every_s, RETRY_S))
        self._not_before = 0.0
        self._thread = threading.Thread(target=self._work, name="isthmus-update", daemon=True)

    @property
    def probation(self) -> Probation:
        """A sink for the records of what runs; the agent's first rig needs it from the start."""
        return self._changeover.probation

    @property
    def running(self) -> Chosen:
        """What runs."""
        return self._changeover.running

    @property
    def gave_up(self) -> bool:
        """Whether a bundle was given up: then the agent may be started again, whatever its error was."""
        return self._changeover.gave_up

    def watch(self, agent: Agent) -> Self:
        """The agent to update; it runs what was chosen."""
        self._changeover.watch(agent)
        return self

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._ending.set()
        if self._source is not None:
            self._source.interrupt()
        self._thread.join(END_S)
        if kind is None:
            # Whoever ends the agent in an orderly way does not hold that against the bundle.
            with contextlib.suppress(DeviceError):
                self._store.change(UpdateState.excuse)
        self._changeover.close()

    def catch_up(self) -> bool:
        """Get a bundle that a server has, before the agent begins: no server has the one that should run.

        Returns:
            Whether there is one now; it is on trial.
        """
        try:
            if self._source is not None and not self._store.read().next:
                self._staging.take(self._source, self._now_runs(), downgrade=self._settings.downgrade)
            name = self._store.read().next
            known = bool(name) and self._changeover.is_known(self._changeover.open(name))
        except IsthmusError as error:
            _log.error("no bundle to catch up with", reason=str(error))
            return False
        return known and self._store.change(UpdateState.begin).current == name

    def as_prometheus(self) -> str:
        """The figures as text."""
        return self.figures.as_prometheus(self._store.read())

    def facts(self) -> dict[str, str]:
        """For the status page."""
        state, running = self._store.read(), self.running
        ready = f"; {state.next[:12]} is ready" if state.next else ""
        edition = Edition.of(running.bundle.manifest)
        return {"update": f"{edition}, {running.name[:12]}{', on trial' if state.on_trial else ''}{ready}"}

    def _work(self) -> None:
        seen = -1
        while not self._ending.wait(LOOK_S):
            try:
                changed_at = self._store.changed_at()
                if changed_at != seen or time.monotonic() >= self._not_before:
                    seen = changed_at
                    self._follow()
                self._changeover.judge()
                if self._is_due():
                    self._look()
                self._changeover.let_go()
            except IsthmusError as error:
                _log.error("update failed; what runs goes on", reason=str(error))
            except Exception:
                _log.exception("update failed; what runs goes on")

    def _follow(self) -> None:
        """Make what runs what should run."""
        state = self._store.read()
        now = state.at_once or self._may_change
        if state.current != self.running.name:
            self._not_before = time.monotonic() + RETRY_S
            self._changeover.follow(state.current)
        elif state.next and not state.on_trial and now:
            self._not_before = time.monotonic() + RETRY_S
            self._changeover.begin(state.next)

    def _is_due(self) -> bool:
        """Whether it is time to ask the source."""
        return self._source is not None and time.monotonic() >= self._next_look and self._may_change

    @property
    def _may_change(self) -> bool:
        """Whether this is an hour for it. A device whose servers have another bundle does nothing until it has that one."""
        return self._changeover.is_lost or self._settings.may_change_now()

    def _look(self) -> None:
        assert self._source is not None
        every_s = RETRY_S if self._changeover.is_lost else self._settings.every_s
        self._next_look = time.monotonic() + every_s * random.uniform(0.9, 1.1)
        try:
            found = self._staging.take(self._source, self._now_runs(), downgrade=self._settings.downgrade)
        except Refused:
            self.figures.looked("refused")
        except IsthmusError as error:
            self.figures.looked("failed")
            _log.warning("no update", source=self._source.name, reason=str(error))
        else:
            self.figures.looked("refused" if found.kind == "refused before" else found.kind)
            self._not_before = 0.0

    def _now_runs(self) -> Running:
        bundle = self.running.bundle
        digest = hashlib.sha256(bundle.manifest_bytes).hexdigest()
        return Running(edition=Edition.of(bundle.manifest), manifest_sha256=digest)
