"""How much of a server updates may take."""

from dataclasses import dataclass

from isthmus.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class HandoutLimits:
    """Limits of all transfers together; each front process counts for itself."""

    transfers: int = 4
    """At a time. A fleet that hears of a new version takes turns; more at once would only be slower each."""

    bytes_per_s: float | None = 10e6
    """Of all transfers together, shared equally: a tenth of a gigabit, so that the rest is there for frames. None is no limit."""

    def __post_init__(self) -> None:
        if self.transfers < 1:
            raise ConfigError(f"{self.transfers} transfers of bundles at a time; at least 1 is needed")
        if self.bytes_per_s is not None and not 0 < self.bytes_per_s < float("inf"):
            raise ConfigError(
                f"bundles are to be sent with {self.bytes_per_s:g} bytes a second; it has to be above 0, or left out"
            )
