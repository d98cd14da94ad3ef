"""How long work waited for processor, memory or storage (PSI; kernel documentation, accounting/psi.rst)."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from isthmus.devices.sensors import file

Resource = Literal["cpu", "memory", "io"]
_LINE = re.compile(r"^some avg10=(\d+\.\d+) .*total=(\d+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pressure:
    """Waiting for one resource.

    Attributes:
        share: of the last ten seconds in which some task waited, 0 to 1.
        waited_s: seconds in which some task waited, since the start.
    """

    share: float
    waited_s: float


def look(root: Path = Path("/")) -> dict[Resource, Pressure]:
    """What the kernel tells; nothing where it was built or started without PSI."""
    found: dict[Resource, Pressure] = {}
    for resource in get_args(Resource):
        line = _LINE.search(file.text(root / "proc/pressure" / resource) or "")
        if line:
            found[resource] = Pressure(share=float(line[1]) / 100, waited_s=int(line[2]) / 1e6)
    return found
