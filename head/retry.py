"""How long to wait between attempts at something that broke: at first hardly, since most breaks are short, then ever longer."""

import random
from collections.abc import Iterator

QUICK_S = 5.0
"""So long after a break attempts follow each other quickly."""
LONGEST_S = 30.0
"""Longest pause; jittered, so that a fleet does not come back all at once."""


def retry_delays(
    *, quick_s: float = QUICK_S, longest_s: float = LONGEST_S, random_source: random.Random | None = None
) -> Iterator[float]:
    """Pauses in seconds, without end: 0.1 to 0.5 s for the first `quick_s`, then doubling with full jitter.

    >>> delays = retry_delays(random_source=random.Random(0))
    >>> all(0.1 <= next(delays) <= 0.5 for _ in range(10))
    True
    """
    source = random_source or random.Random()
    elapsed = 0.0
    ceiling = min(longest_s, 1.0)
    while elapsed < quick_s:
        delay = source.uniform(0.1, 0.5)
        elapsed += delay
        yield delay
    while True:
        yield source.uniform(min(0.5, ceiling), ceiling)
        ceiling = min(longest_s, ceiling * 2)
