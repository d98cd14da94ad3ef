"""How much one client may ask of a server.

A client is whoever a token or a certificate names, and without one the address that it calls from. All devices behind one
router share that address, so every limit is off unless asked for: without limits a client may use what others leave, and no more
than its share of the workers once several want them (`fair`). Each front process counts for itself.
"""

from dataclasses import dataclass, fields

from isthmus.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientLimits:
    """What each client may use; None is without limit."""

    rate_per_s: float | None = None
    """Captures and calls per second, over all streams of the client."""

    burst: int | None = None
    """Captures that may come at once after a pause; by default what the rate gives in a second, and 1 at least."""

    bytes_per_s: float | None = None
    """Payload bytes per second. It is paid afterwards: the message that passes it is taken and the next ones wait."""

    streams: int | None = None
    """Device streams at a time."""

    in_flight: int | None = None
    """Captures and calls that are not answered yet, over all streams of the client."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value is not None and not 0 < value < float("inf"):
                raise ConfigError(f"the limit {field.name} of a client is {value:g}; it has to be above 0, or left out")
        if self.burst is not None and self.rate_per_s is None:
            raise ConfigError(f"a burst of {self.burst} is allowed without a rate; give the rate of a client too")

    @property
    def burst_captures(self) -> int:
        """The burst that holds."""
        return self.burst or max(1, round(self.rate_per_s or 1))
