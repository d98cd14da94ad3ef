"""What is counted of updates on a device, for Prometheus: names `isthmus_update_*`."""

import threading
from collections import Counter

from isthmus.head.update.state import UpdateState

LOOKS = ("nothing new", "ready", "refused", "failed")


class UpdateFigures:
    """Counts; safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._looks = dict.fromkeys(LOOKS, 0)
        self._changes: Counter[str] = Counter(dict.fromkeys(("begun", "confirmed", "rolled_back"), 0))
        self._bytes = 0

    def looked(self, result: str) -> None:
        """The source was asked; one of `LOOKS`."""
        with self._lock:
            self._looks[result] += 1

    def changed(self, step: str) -> None:
        """Another bundle runs, or the one that runs has proved itself."""
        with self._lock:
            self._changes[step] += 1

    def received(self, size_bytes: int) -> None:
        """Bytes of a bundle came."""
        with self._lock:
            self._bytes += size_bytes

    def as_prometheus(self, state: UpdateState) -> str:
        """The text that Prometheus reads.

        Args:
            state: what is known now.
        """
        with self._lock:
            lines = [
                "# HELP isthmus_update_looks_total Times that the source of bundles was asked.",
                "# TYPE isthmus_update_looks_total counter",
                *(f'isthmus_update_looks_total{{result="{result}"}} {count}' for result, count in self._looks.items()),
                "# HELP isthmus_update_changes_total Times that another bundle was gone over to, confirmed or given up.",
                "# TYPE isthmus_update_changes_total counter",
                *(f'isthmus_update_changes_total{{step="{step}"}} {count}' for step, count in self._changes.items()),
                "# HELP isthmus_update_received_bytes_total Bytes of bundles that came.",
                "# TYPE isthmus_update_received_bytes_total counter",
                f"isthmus_update_received_bytes_total {self._bytes}",
                "# HELP isthmus_update_on_trial 1 while the bundle that runs has not proved itself.",
                "# TYPE isthmus_update_on_trial gauge",
                f"isthmus_update_on_trial {int(state.on_trial)}",
                "# HELP isthmus_update_ready 1 while a bundle is ready and not gone over to.",
                "# TYPE isthmus_update_ready gauge",
                f"isthmus_update_ready {int(bool(state.next))}",
                "# HELP isthmus_update_rejected Bundles that are not taken again.",
                "# TYPE isthmus_update_rejected gauge",
                f"isthmus_update_rejected {len(state.rejected)}",
            ]
        return "\n".join(lines) + "\n"
