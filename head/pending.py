"""A frame between its capture and its one entry in the ledger.

Several threads may come to an end with the same frame: the answer of the server, the device's own, the end of the run. Whoever
claims it first enters it; the others let it go.
"""

import threading
import time

from isthmus.head.frame import Frame


class Pending:
    """One frame on its way; safe to use from any thread.

    Args:
        frame: what was captured.
        stages_s: seconds by stage so far.
        deadline_at: `time.monotonic` at which an answer is of no use any more; None: never.

    Attributes:
        stages_s: as above; replaced by whoever has the frame at the moment.
    """

    def __init__(self, frame: Frame, stages_s: dict[str, float], deadline_at: float | None = None) -> None:
        self.frame = frame
        self.stages_s = stages_s
        self.deadline_at = deadline_at
        self._lock = threading.Lock()
        self._settled = False

    @property
    def settled(self) -> bool:
        """Whether somebody has claimed it."""
        return self._settled

    def claim(self) -> bool:
        """Take it upon oneself to enter this frame; False where another one has."""
        with self._lock:
            first, self._settled = not self._settled, True
        return first

    def stages_until_now(self) -> dict[str, float]:
        """Stages so far, with what passed between capture and now outside of them as `wait`."""
        waited = time.monotonic() - self.frame.captured_s - sum(self.stages_s.values())
        return {**self.stages_s, "wait": max(0.0, waited)}
