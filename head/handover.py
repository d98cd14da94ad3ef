"""The way of a rig into an agent that runs: offered by one thread, taken by the agent's own between two frames."""

import threading

from isthmus.head.rig import Rig


class Handover:
    """Holds the rig that is to take the place of the one at hand; safe to use from any thread."""

    def __init__(self) -> None:
        self._offered: tuple[Rig, threading.Event] | None = None

    def offer(self, rig: Rig) -> threading.Event:
        """Let the agent answer with another bundle, from the next frame on.

        Returns:
            Is set when it does. What is in flight is still answered by the bundle before, which the caller closes then.
        """
        taken = threading.Event()
        self._offered = (rig, taken)
        return taken

    def take(self) -> Rig | None:
        """What is offered, once; whoever takes it uses it from here on."""
        offered, self._offered = self._offered, None
        if offered is None:
            return None
        rig, taken = offered
        taken.set()
        return rig
