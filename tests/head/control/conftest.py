from collections.abc import Callable

import pytest

from isthmus.head.control.choice import Choice
from isthmus.head.control.controller import Controller

CHOICES = (
    Choice(placement="local", setting="local", accuracy=0.70, device_s=0.010),
    Choice(placement="split", setting="full", accuracy=0.80, size_bytes=1000, device_s=0.005, server_s=0.005),
    Choice(placement="split", setting="half", accuracy=0.75, size_bytes=500, device_s=0.005, server_s=0.005),
    Choice(placement="offload", setting="jpeg-75", accuracy=0.90, size_bytes=10_000, device_s=0.001, server_s=0.010),
)
PERIOD_S, DEADLINE_S, TRIP_S = 0.1, 0.2, 0.04


class Drive:
    """A controller, and a link of one rate that nothing else is sent on."""

    def __init__(self, choices=CHOICES, deadline_s=DEADLINE_S, settings=None):
        self.controller = Controller(choices, deadline_s=deadline_s, settings=settings)
        self.now_s, self.sequence, self.free_s = 0.0, 0, 0.0
        self.rate_bit_s: float | None = 1e6
        self.server_s = 0.005
        self.coming = []
        self.decisions = []

    def frames(self, count, **options):
        """Go on for so many frames; the names of the choices."""
        return [self.frame(**options) for _ in range(count)]

    def frame(self, **options):
        self._hear_until(self.now_s + PERIOD_S)
        decision = self.controller.decide(self.sequence, self.now_s, self.now_s, **options)
        self.decisions.append(decision)
        for choice in filter(None, [decision.choice, decision.probe]):
            if choice.sends:
                self._send(choice)
        self.sequence += 1
        return decision.choice.name

    def _send(self, choice):
        self.controller.sent(self.sequence, choice, choice.size_bytes, self.now_s)
        if self.rate_bit_s is None:
            self.coming.append((float("inf"), self.sequence, 0.0))
            return
        self.free_s = max(self.free_s, self.now_s) + 8 * (choice.size_bytes + 180) / self.rate_bit_s
        network_s = self.free_s + TRIP_S - self.now_s
        self.coming.append((self.now_s + network_s + self.server_s, self.sequence, network_s))

    def _hear_until(self, now_s):
        self.now_s = now_s
        for answer in [answer for answer in self.coming if answer[0] <= now_s]:
            self.coming.remove(answer)
            when_s, sequence, network_s = answer
            self.controller.answered(sequence, network_s=network_s, server_s=self.server_s, now_s=when_s)

    def mend(self, rate_bit_s):
        """The dead link passes on what waits, at this rate."""
        self.rate_bit_s, waiting, self.coming = rate_bit_s, self.coming, []
        self.free_s = self.now_s
        for _, sequence, _ in waiting:
            self.free_s += 8 * 1000 / rate_bit_s
            sent_s = sequence * PERIOD_S
            self.coming.append((self.free_s + TRIP_S, sequence, self.free_s + TRIP_S - sent_s))


@pytest.fixture
def drive() -> Callable[..., Drive]:
    """A function that makes a controller on a link."""
    return Drive
