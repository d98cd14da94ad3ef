"""Asks one cell a block of frames at the moments that a scenario sets, whatever became of the frames before."""

import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from isthmus.bench.runner import Exchange, Runner, settled
from isthmus.bench.scenario import Scenario


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Asked:
    """One frame of a block.

    Attributes:
        due_at: when it was due, by `time.perf_counter`.
        latency_s: from then until its answer was there, or the last one of its query.
        exchange: what became of it.
    """

    due_at: float
    latency_s: float
    exchange: Exchange


def ask(
    scenario: Scenario, runners: Sequence[Runner], pictures: Sequence[np.ndarray], random: np.random.Generator
) -> list[Asked]:
    """Ask a block.

    Args:
        scenario: any but single-stream.
        runners: one for each device.
        pictures: of the block, at least one.
        random: draws arrivals; the same one gives every cell the same arrivals.

    Returns:
        One for each picture, in order.
    """
    if scenario.name == "multi-stream":
        return _queries(runners, pictures)
    owners = random.integers(0, len(runners), len(pictures))
    if scenario.rate_per_s is None:
        dues = np.zeros(len(pictures))
    else:
        dues = np.cumsum(random.exponential(1 / scenario.rate_per_s, len(pictures)))
    return _arrivals(runners, pictures, dues, owners)


def _arrivals(runners: Sequence[Runner], pictures: Sequence[np.ndarray], dues_s: np.ndarray, owners: np.ndarray) -> list[Asked]:
    """Each device takes its frames in order, each not before it is due."""
    promises: list[Future[Exchange] | None] = [None] * len(pictures)
    zero = time.perf_counter()

    def work(owner: int) -> None:
        for place in np.flatnonzero(owners == owner).tolist():
            early_s = zero + dues_s[place] - time.perf_counter()
            if early_s > 0:
                time.sleep(early_s)
            promises[place] = runners[owner].begin(pictures[place])

    threads = [threading.Thread(target=work, args=(owner,), name=f"device-{owner}") for owner in range(len(runners))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    exchanges = [settled(promise) for promise in promises if promise is not None]
    dues = (zero + dues_s).tolist()
    return [
        Asked(due_at=due_at, latency_s=exchange.done_at - due_at, exchange=exchange)
        for due_at, exchange in zip(dues, exchanges, strict=True)
    ]


def _queries(runners: Sequence[Runner], pictures: Sequence[np.ndarray]) -> list[Asked]:
    """A frame from each device at once, the next when all are answered; each frame of a query counts as long as the query."""
    found: list[Asked] = []
    with ThreadPoolExecutor(len(runners), thread_name_prefix="device") as pool:
        for first in range(0, len(pictures), len(runners)):
            due_at = time.perf_counter()
            query = pictures[first : first + len(runners)]
            exchanges = list(pool.map(lambda runner, picture: settled(runner.begin(picture)), runners, query))
            latency_s = max(exchange.done_at for exchange in exchanges) - due_at
            found += [Asked(due_at=due_at, latency_s=latency_s, exchange=exchange) for exchange in exchanges]
    return found
