"""How a long measurement says where it stands."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """A part by name, and its share done (0 to 1), or None where that is not known."""

    part: str
    share: float | None = None
