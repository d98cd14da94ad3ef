"""Takes an agent from one bundle to another and back, between two frames.

The bundle before stays in memory, with its link, until the new one has proved itself, so that going back takes no longer than
going over. What runs is noted on the disk first: a bundle that ends the agent at its first frame is on trial at the next start.
"""

import threading
import time
from functools import partial
from pathlib import Path

import structlog

from isthmus.errors import BundleError, ContractMismatch, DeviceError, IsthmusError, TailUnavailable
from isthmus.head.agent import Agent
from isthmus.head.rig import Rig
from isthmus.head.settings import AgentSettings
from isthmus.head.update.boot import Chosen, open_named
from isthmus.head.update.figures import UpdateFigures
from isthmus.head.update.precedence import Edition
from isthmus.head.update.probation import Probation
from isthmus.head.update.readiness import is_served
from isthmus.head.update.settings import UpdateSettings
from isthmus.head.update.state import UpdateState
from isthmus.head.update.store import UpdateStore

HAND_OVER_S = 10.0
"""An agent takes a new rig between two frames, or within a tenth of a second where none come."""

_log = structlog.get_logger(__name__)


class Changeover:
    """What runs, what ran before, and the way between; the agent's thread may call `recall`, one other thread all the rest.

    Args:
        store: where what runs is noted.
        settings: keys, and how a bundle proves itself.
        factory: the bundle that the agent was set up with.
        chosen: what runs first.
        agent_settings: servers and credentials.
        figures: counts.

    Attributes:
        running: what runs.
        probation: a sink for its records.
        gave_up: whether a bundle was given up: then the agent may be started again, whatever its error was.
    """

    def __init__(
        self,
        store: UpdateStore,
        settings: UpdateSettings,
        *,
        factory: Path,
        chosen: Chosen,
        agent_settings: AgentSettings,
        figures: UpdateFigures,
    ) -> None:
        self.running = chosen
        self.probation = Probation(answers=settings.answers, patience_s=settings.patience_s)
        self.gave_up = False
        self._store = store
        self._settings = settings
        self._factory = factory
        self._agent_settings = agent_settings
        self._figures = figures
        # Whoever changes what runs, the thread or the agent whose bundle failed, is alone.
        self._changing = threading.RLock()
        self._agent: Agent
        self._rig: Rig
        self._before: tuple[Chosen, Rig] | None = None
        self._leaving: list[Rig] = []
        self._lost_since: float | None = None

    def watch(self, agent: Agent) -> None:
        """The agent that runs what was chosen."""
        self._agent, self._rig = agent, agent.first_rig
        agent.recall = self.recall

    @property
    def is_lost(self) -> bool:
        """Whether the servers hold another bundle than the one that runs."""
        return self._rig.link is not None and self._rig.link.refused is not None

    def open(self, name: str) -> Chosen:
        """Open a bundle of the store.

        Raises:
            BundleError: it is not whole, or not signed as asked.
        """
        return Chosen(bundle=open_named(self._store, name, self._factory, self._settings.trusted()), name=name)

    def is_known(self, chosen: Chosen) -> bool:
        """Whether a server has a bundle; where the device needs none, there is nothing to know."""
        settings = self._agent_settings
        if settings.placement == "local":
            return True
        try:
            known = is_served(chosen.bundle.digest, settings.tails, settings.credentials)
        except IsthmusError as error:
            _log.info("the new bundle waits for a server", archive=chosen.name[:12], reason=str(error))
            return False
        if not known:
            _log.info("the new bundle waits until a server has it too", archive=chosen.name[:12])
        return known

    def begin(self, name: str) -> None:
        """Go over to a bundle that is ready, on trial, if a server has it too.

        Raises:
            IsthmusError: it cannot be opened or does not start, and is not taken again.
        """
        try:
            chosen = self.open(name)
            if not self.is_known(chosen):
                return
            probation = self._new_probation()
            rig = self._fit(chosen, probation)
        except (TailUnavailable, ContractMismatch) as error:
            _log.info("the new bundle waits for its server", archive=name[:12], reason=str(error))
            return
        except IsthmusError as error:
            # A full disk says nothing of the bundle.
            if not (isinstance(error, BundleError) and isinstance(error.__cause__, OSError)):
                self._store.change(partial(UpdateState.reject, digest=name, reason=f"it does not start: {error}"))
            raise
        with self._changing:
            if self._store.change(UpdateState.begin).current != name:
                rig.close()
                return
            self._before = (self.running, self._rig)
            self.running, self._rig, self.probation = chosen, rig, probation
        self._hand_over(rig)
        self._figures.changed("begun")
        _log.info("gone over to the new bundle, on trial", archive=name[:12], bundle=str(Edition.of(chosen.bundle.manifest)))

    def follow(self, name: str) -> None:
        """Go over to what somebody else wrote into the store: a roll-back by hand.

        Raises:
            IsthmusError: it cannot be opened or does not start.
        """
        with self._changing:
            if self._before is not None and self._before[0].name == name:
                self._hand_over(self._back())
                return
        chosen, probation = self.open(name), self._new_probation()
        rig = self._fit(chosen, probation)
        with self._changing:
            self._leaving.append(self._rig)
            self.running, self._rig, self.probation = chosen, rig, probation
        self._hand_over(rig)
        _log.info("gone over to what was asked for", archive=name[:12])

    def judge(self) -> None:
        """Confirm a bundle on trial, or give it up.

        Raises:
            DeviceError: that cannot be noted.
        """
        if not self._is_on_trial():
            return
        if self.probation.proved:
            self._confirm()
        elif (failure := self.probation.failure or self._lost()) and (rig := self._give_up(failure)) is not None:
            self._hand_over(rig)

    def recall(self, error: IsthmusError) -> Rig | None:
        """What the agent goes on with when the bundle at hand failed; None where it is not on trial, or nothing else is there."""
        with self._changing:
            return self._give_up(f"it ends the agent: {error}") if self._is_on_trial() else None

    def let_go(self) -> None:
        """Close what no frame goes to any more; what is in flight is answered first."""
        with self._changing:
            leaving, self._leaving = self._leaving, []
        for rig in leaving:
            rig.close()

    def close(self) -> None:
        """Close everything, after the agent's run."""
        rigs = [*self._leaving, self._rig, *([self._before[1]] if self._before else [])]
        for rig in rigs:
            rig.close()

    def _is_on_trial(self) -> bool:
        state = self._store.read()
        return state.on_trial and state.current == self.running.name

    def _confirm(self) -> None:
        self._store.change(UpdateState.confirm)
        self._figures.changed("confirmed")
        _log.info("the new bundle has proved itself", archive=self.running.name[:12])
        with self._changing:
            if self._before is not None:
                self._leaving.append(self._before[1])
                self._before = None
        self._store.prune()

    def _lost(self) -> str:
        """Why a bundle on trial is given up though no frame failed: the servers have taken it back."""
        if not self.is_lost:
            self._lost_since = None
            return ""
        self._lost_since = self._lost_since or time.monotonic()
        lost_s = time.monotonic() - self._lost_since
        return f"no server has had it for {lost_s:.0f} s" if lost_s >= self._settings.patience_s else ""

    def _give_up(self, reason: str) -> Rig | None:
        """Go back to what ran before; None where that is not to be had."""
        with self._changing:
            _log.error("the new bundle is given up", archive=self.running.name[:12], reason=reason)
            try:
                before = self._store.change(partial(UpdateState.roll_back, reason=reason)).current
            except DeviceError as error:
                # Better to forget why than to go on with it.
                _log.error("that cannot be noted down", reason=str(error))
                before = self._store.read().roll_back(reason).current
            self.gave_up = True
            self._figures.changed("rolled_back")
            try:
                if self._before is None:
                    chosen = self.open(before)
                    self._before = (chosen, self._fit(chosen, self._new_probation()))
            except IsthmusError as error:
                _log.error("what ran before does not start either", archive=before[:12], reason=str(error))
                return None
            return self._back()

    def _back(self) -> Rig:
        """What ran before, which is in memory, is what runs."""
        assert self._before is not None
        self._leaving.append(self._rig)
        (self.running, self._rig), self._before = self._before, None
        return self._rig

    def _hand_over(self, rig: Rig) -> None:
        """Let the agent take a rig, and wait until it has."""
        self._agent.handover.offer(rig).wait(HAND_OVER_S)

    def _fit(self, chosen: Chosen, probation: Probation) -> Rig:
        assert self._agent.fit is not None
        return self._agent.fit(chosen.bundle, [probation])

    def _new_probation(self) -> Probation:
        return Probation(answers=self._settings.answers, patience_s=self._settings.patience_s)
