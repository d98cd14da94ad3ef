"""How a device updates itself."""

import time
from dataclasses import dataclass
from pathlib import Path

from isthmus.contract.trust import TrustedKeys, read_trusted
from isthmus.errors import ConfigError
from isthmus.head.addresses import check_address
from isthmus.head.settings import AgentSettings
from isthmus.head.update.from_file import FileSource, check_path
from isthmus.head.update.from_tail import TailSource
from isthmus.head.update.from_web import WebSource
from isthmus.head.update.rehearsal import Part
from isthmus.head.update.source import UpdateSource

TAIL = "tail"
"""The servers that the device has anyway."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateSettings:
    """All about updates but where the bundle of the factory lies."""

    source: str = ""
    """See `source`; empty: nothing is looked for, and what was staged by hand is still gone over to."""
    folder: Path = Path("updates")
    every_s: float = 3600.0
    """Between two looks, give or take a tenth, so that a fleet does not come at once. A look costs a few hundred bytes."""
    hours: tuple[int, int] | None = None
    """Local hours in which bundles are looked for and gone over to, as (1, 5); None: always."""
    bytes_per_s: float | None = 1e6
    """Pace of a transfer."""
    downgrade: bool = False
    """Take an older bundle too: then whatever the source has is what runs."""
    answers: int = 10
    """Good answers by which a new bundle proves itself."""
    patience_s: float = 60.0
    """A new bundle of which no frame was answered well for so long, though some were tried, is given up."""
    trust: Path | None = None
    """Public key, or folder of them; None asks for no signature."""

    def __post_init__(self) -> None:
        if self.answers < 1:
            raise ConfigError(f"a new bundle is to prove itself by {self.answers} answers; at least 1 is needed")

    def trusted(self) -> TrustedKeys | None:
        """The keys, read now.

        Raises:
            ConfigError: they cannot be read.
        """
        return None if self.trust is None else read_trusted(self.trust)

    def may_change_now(self, now: time.struct_time | None = None) -> bool:
        """Whether this is an hour for updates.

        >>> night = UpdateSettings(hours=(22, 5))
        >>> [night.may_change_now(time.struct_time((2026, 1, 1, hour, 0, 0, 0, 1, 0))) for hour in (21, 22, 0, 4, 5)]
        [False, True, True, True, False]
        """
        if self.hours is None:
            return True
        hour, (begin, end) = (now or time.localtime()).tm_hour, self.hours
        return begin <= hour < end if begin < end else hour >= begin or hour < end


def parse_hours(text: str) -> tuple[int, int]:
    """Read `1-5`.

    >>> parse_hours("22-5")
    (22, 5)

    Raises:
        ConfigError: they are no two hours of a day.
    """
    begin, _, end = text.partition("-")
    if not (begin.isdecimal() and end.isdecimal()) or not (0 <= int(begin) < 24 and 0 <= int(end) <= 24) or begin == end:
        raise ConfigError(f"{text!r} are no hours; write for example 1-5, or 22-5 for a night")
    return int(begin), int(end)


def part_of(agent: AgentSettings, trust: Path | None) -> Part:
    """How that agent runs a bundle."""
    return Part(
        placement=agent.placement,
        point=agent.point,
        int8=agent.int8,
        threads=agent.threads,
        provider=agent.provider,
        trust="" if trust is None else str(trust),
    )


def open_update_source(reference: str, agent: AgentSettings, bundle: str) -> UpdateSource:
    """The source of a name.

    Args:
        reference: `tail`, `HOST:PORT`, `https://...`, or a path.
        agent: has servers, credentials and the device's name.
        bundle: id of what runs, which servers are asked for.

    Raises:
        ConfigError: it is none of these, or the device has no server.
    """
    if reference == TAIL and not agent.tails:
        raise ConfigError("updates are to come from the servers of the device, and it has none; name another source")
    if reference == TAIL:
        return TailSource(agent.tails, bundle=bundle, device_id=agent.device_id, credentials=agent.credentials)
    if reference.lower().startswith(("https:", "http:")):
        return WebSource(reference)
    if _is_address(reference):
        return TailSource([reference], bundle=bundle, credentials=agent.credentials)
    return FileSource(check_path(Path(reference)))


def _is_address(reference: str) -> bool:
    try:
        check_address(reference)
    except ConfigError:
        return False
    return not Path(reference).exists()
