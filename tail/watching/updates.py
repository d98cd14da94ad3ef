"""What is counted of bundles that are handed out. Only the event loop touches it."""

from collections.abc import Callable, Iterator
from typing import Literal, get_args

from prometheus_client.core import Metric

from isthmus.tail.watching import families

Result = Literal["complete", "paused", "broken", "refused"]
RESULTS: tuple[Result, ...] = get_args(Result)


class UpdateFigures:
    """Counts of one server."""

    def __init__(self) -> None:
        self.running: Callable[[], int] = lambda: 0
        """Gives how many transfers run."""
        self.sent_bytes = 0
        self._ended = dict.fromkeys(RESULTS, 0)

    def ended(self, result: Result) -> None:
        """A transfer is over."""
        self._ended[result] += 1

    def collect(self) -> Iterator[Metric]:
        """The families, for a scrape."""
        running = families.gauge(families.UPDATES_RUNNING)
        running.add_metric([], self.running())
        sent = families.counter(families.UPDATE_BYTES)
        sent.add_metric([], self.sent_bytes)
        ended = families.counter(families.UPDATES)
        for result, count in self._ended.items():
            ended.add_metric([result], count)
        yield from (running, sent, ended)
