"""What `isthmus export --cut auto` goes by where costs were measured."""

from pathlib import Path
from typing import TYPE_CHECKING

from isthmus.errors import UsageError

if TYPE_CHECKING:
    from isthmus.export.cutting.costed import CutCosts


def read(cut: str, costs: Path | None, device: str | None, link: str | None) -> "CutCosts | None":
    """Read `--costs`, `--device` and `--link`; None where no costs are given.

    Raises:
        UsageError: one of them without the others, or beside a cut that is named.
        ConfigError: the costs cannot be read or carried over.
    """
    from isthmus.devices import link as links
    from isthmus.devices.cost import prediction, table
    from isthmus.devices.profiles import catalog
    from isthmus.export.cutting.costed import CutCosts

    if costs is None and (device or link):
        raise UsageError("--device and --link choose a cut by measured costs; give --costs FILE, or leave them out")
    if costs is None:
        return None
    if link is None:
        raise UsageError("--costs chooses a cut for a link; give --link, as 5mbit/20ms")
    if cut.strip() != "auto":
        raise UsageError(f"--costs chooses a cut, and --cut {cut} names one; leave one of them out")
    measured = table.read(costs)
    profile = None if device is None else catalog.load(device)
    carried = profile is not None and profile.name != measured.device.profile
    own = prediction.predict(measured, profile, created=measured.created) if profile is not None and carried else measured
    return CutCosts(device=own, server=measured, link=links.parse(link))
