"""The device's own controller as a policy of the simulation."""

from collections.abc import Sequence

import numpy as np
from benchmarks.controller.choice_table import ChoiceTable
from benchmarks.controller.scenario import Scenario

from isthmus.head.control.choice import Choice
from isthmus.head.control.controller import Controller, ControlSettings


class Controlled:
    """The controller; what it knows of the choices was measured on other photos than those of the scenario.

    Args:
        scenario: what is run.
        known: tables of the same choices on the other photos.
        settings: of the controller.
    """

    needs_credit = False

    def __init__(self, scenario: Scenario, known: Sequence[ChoiceTable], settings: ControlSettings | None = None) -> None:
        self._choices = [_choice(row) for row in known]
        self._rows = {choice.name: row for row, choice in enumerate(self._choices)}
        self.controller = Controller(self._choices, deadline_s=scenario.camera.deadline_s, settings=settings)

    def decide(self, frame: int, captured_s: float, now_s: float, *, may_send: bool) -> tuple[int, int | None, str]:
        """As the live agent asks."""
        decision = self.controller.decide(frame, captured_s, now_s, may_send=may_send)
        probe = None if decision.probe is None else self._rows[decision.probe.name]
        words = f"{decision.choice.name}: {decision.reason}" if decision.reason else ""
        return self._rows[decision.choice.name], probe, words

    def computed(self, row: int, device_s: float) -> None:
        """Time on the device."""
        self.controller.computed(self._choices[row], device_s)

    def sent(self, number: int, row: int, size_bytes: int, now_s: float) -> None:
        """A capture left."""
        self.controller.sent(number, self._choices[row], size_bytes, now_s)

    def answered(self, number: int, network_s: float, server_s: float, now_s: float) -> None:
        """Its answer came."""
        self.controller.answered(number, network_s=network_s, server_s=server_s, now_s=now_s)


def _choice(table: ChoiceTable) -> Choice:
    placement = table.placement
    assert placement in ("local", "split", "offload")
    return Choice(
        placement=placement,  # type: ignore[arg-type]
        setting=table.setting,
        accuracy=table.accuracy,
        size_bytes=float(np.mean(table.size_bytes)),
        device_s=table.quiet_device_s,
        server_s=table.quiet_server_s,
    )
