"""Which of two bundles is the newer one, and whether one may take the other's place."""

import re
from dataclasses import dataclass
from datetime import datetime

from isthmus.contract.manifest import Manifest
from isthmus.errors import BundleError

_NUMBERS = re.compile(r"\d{1,9}(\.\d{1,9}){0,7}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Edition:
    """What a manifest says of its own place in time; a signature covers it."""

    id: str
    version: str
    created: str

    @classmethod
    def of(cls, manifest: Manifest) -> "Edition":
        """Of a bundle."""
        return cls(id=manifest.id, version=manifest.version, created=manifest.created)

    def is_older_than(self, other: "Edition") -> bool:
        """By version where both are numbers, as 2 and 1.10; where that does not tell, by the day of making. Unknown is not older.

        >>> one, ten = (Edition(id="a", version=version, created="") for version in ("1.9", "1.10"))
        >>> one.is_older_than(ten), ten.is_older_than(one), one.is_older_than(one)
        (True, False, False)
        """
        versions = [_numbers(edition.version) for edition in (self, other)]
        if None not in versions and versions[0] != versions[1]:
            return versions[0] < versions[1]  # type: ignore[operator]
        days = [_moment(edition.created) for edition in (self, other)]
        return None not in days and days[0] < days[1]  # type: ignore[operator]

    def __str__(self) -> str:
        return f"{self.id} {self.version}" + (f" of {self.created}" if self.created else "")


def check_successor(offered: Edition, running: Edition, *, downgrade: bool) -> None:
    """See whether a bundle may take the place of the one that runs.

    Args:
        offered: signed, where signatures are asked for.
        running: what it would replace.
        downgrade: whether an older one is asked for.

    Raises:
        BundleError: it is of another model, or older.
    """
    if offered.id != running.id:
        raise BundleError(
            f"the update is bundle {offered.id!r}, this device runs {running.id!r}; set the device up with it instead"
        )
    if not downgrade and offered.is_older_than(running):
        raise BundleError(
            f"the update {offered} is older than what runs, {running}; `isthmus device update apply --downgrade` takes it"
        )


def _numbers(version: str) -> tuple[int, ...] | None:
    return tuple(map(int, version.split("."))) if _NUMBERS.fullmatch(version) else None


def _moment(created: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(created)
    except ValueError:
        return None
    # Two moments are compared only if both know their zone.
    return moment if moment.tzinfo is not None else None
