"""What of an agent belongs to its bundle: while the agent runs, one rig can take the place of another."""

from collections.abc import Callable
from dataclasses import dataclass

from isthmus.errors import ConfigError
from isthmus.head.audit import FilterAudit
from isthmus.head.ledger import Ledger
from isthmus.head.link import Link
from isthmus.head.pilot import Pilot
from isthmus.head.placement import Local, Sender
from isthmus.head.standby import Standby


@dataclass(frozen=True, slots=True, kw_only=True)
class Rig:
    """One bundle, ready to answer.

    Attributes:
        placement: `Local`; a sender, or a pilot that chooses, together with a link.
        ledger: reads the answers of this bundle.
        link: where captures go; None only for `Local`.
        standby: answers by itself what the server does not answer in time.
        audit: judges the neural filter, where there is one.
        close: answers what is in flight and lets go of link and networks; more than once does no harm.
    """

    placement: Local | Sender | Pilot
    ledger: Ledger
    link: Link | None = None
    standby: Standby | None = None
    audit: FilterAudit | None = None
    close: Callable[[], None] = lambda: None

    def __post_init__(self) -> None:
        if self.link is None and not isinstance(self.placement, Local):
            raise ConfigError(f"the placement {self.placement.name} needs a link to a server")

    @property
    def pilot(self) -> Pilot | None:
        """Who chooses among placements, where there are several."""
        return self.placement if isinstance(self.placement, Pilot) else None

    @property
    def best_sender(self) -> Sender | None:
        """How a frame is sent that no deadline presses; None where nothing is sent."""
        if isinstance(self.placement, Pilot):
            return self.placement.best_sender
        return None if isinstance(self.placement, Local) else self.placement
