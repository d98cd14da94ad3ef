"""How a server says when to come back, in the trailing metadata of a call that it had no room for."""

from collections.abc import Iterable
from typing import Any

RETRY_METADATA = "isthmus-retry-after-ms"
RETRY_AFTER_MAX_MS = 60_000
"""A hint of more is cut: a server that is wrong must not silence a device for long."""


def retry_metadata(retry_after_ms: int) -> tuple[tuple[str, str], ...]:
    """The hint as trailing metadata."""
    return ((RETRY_METADATA, str(retry_after_ms)),)


def retry_after_ms(metadata: Iterable[Any] | None) -> int:
    """The hint in trailing metadata, 0 where there is none that can be read.

    >>> retry_after_ms([("isthmus-retry-after-ms", "250")]), retry_after_ms([("isthmus-retry-after-ms", "soon")])
    (250, 0)
    """
    for name, value in metadata or ():
        if name == RETRY_METADATA and str(value).isascii() and str(value).isdigit():
            # Digits without end would take forever to become a number.
            return min(int(str(value)[:9]), RETRY_AFTER_MAX_MS)
    return 0
