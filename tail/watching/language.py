"""The counts of one version of one language model; as `figures`, for conversations."""

from collections.abc import Iterable, Iterator
from typing import Protocol, runtime_checkable

from prometheus_client.core import Metric

from isthmus.contract.generated import split_pb2 as wire
from isthmus.tail.watching import families
from isthmus.tail.watching.figures import PAYLOAD_BOUNDS_BYTES, STAGE_BOUNDS_S, STATUSES
from isthmus.tail.watching.histogram import Histogram

WORKS = ("prompt", "token")
"""Steps of several rows, and of one."""


class LanguageFigures:
    """Kept on the event loop only, but for `rounds`."""

    def __init__(self, name: str, version: str) -> None:
        self.name = name
        self.version = version
        self.rounds = 0
        """Runs that computed tokens; the computing thread counts them."""
        self.open = 0
        """Conversations with a stream."""
        self.opened_by_resumed = {False: 0, True: 0}
        self.steps = {(work, status): 0 for work in WORKS for status in STATUSES}
        self.rows = dict.fromkeys(WORKS, 0)
        """Computed."""
        self.tokens = 0
        """Drawn here."""
        self.seconds = {work: Histogram(STAGE_BOUNDS_S) for work in WORKS}
        self.payload = Histogram(PAYLOAD_BOUNDS_BYTES)

    def opened(self, *, resumed: bool) -> None:
        """A conversation has a stream."""
        self.open += 1
        self.opened_by_resumed[resumed] += 1

    def closed(self) -> None:
        """Its stream ended."""
        self.open -= 1

    def ran(self) -> None:
        """Tokens were computed."""
        self.rounds += 1

    def received(self, size_bytes: int) -> None:
        """Hidden states came in."""
        self.payload.observe(size_bytes)

    def answered(self, rows: int, reply: wire.Tokens, total_s: float) -> None:
        """A step was answered."""
        work = WORKS[rows == 1]
        self.steps[work, reply.status] += 1
        if reply.status == wire.STATUS_OK:
            self.rows[work] += rows
            self.tokens += len(reply.ids)
            self.seconds[work].observe(total_s)

    @property
    def answers(self) -> tuple[int, int]:
        """Steps answered with a result, and without."""
        good = sum(count for (_work, status), count in self.steps.items() if status == wire.STATUS_OK)
        return good, sum(self.steps.values()) - good


@runtime_checkable
class Conversing(Protocol):
    """A bundle of a language model as it is served."""

    @property
    def figures(self) -> LanguageFigures:
        """Its counts."""


def collect(every: Iterable[LanguageFigures]) -> Iterator[Metric]:
    """The families, for a scrape."""
    conversations = families.gauge(families.CONVERSATIONS)
    counted = (families.CONVERSATIONS_OPENED, families.STEPS, families.ROWS, families.TOKENS, families.ROUNDS)
    opened, steps, rows, tokens, rounds = map(families.counter, counted)
    seconds, payload = map(families.histogram, (families.STEP_SECONDS, families.HIDDEN_BYTES))
    for figures in every:
        of = [figures.name, figures.version]
        conversations.add_metric(of, figures.open)
        tokens.add_metric(of, figures.tokens)
        rounds.add_metric(of, figures.rounds)
        payload.add_metric(of, buckets=figures.payload.buckets(), sum_value=figures.payload.total)
        for resumed, count in figures.opened_by_resumed.items():
            opened.add_metric([*of, str(resumed).lower()], count)
        for (work, status), count in figures.steps.items():
            steps.add_metric([*of, work, STATUSES[status]], count)
        for work in WORKS:
            rows.add_metric([*of, work], figures.rows[work])
            seconds.add_metric([*of, work], buckets=figures.seconds[work].buckets(), sum_value=figures.seconds[work].total)
    yield from (conversations, opened, steps, rows, tokens, seconds, rounds, payload)
