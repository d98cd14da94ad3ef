"""Who computes what of a language model, and what crosses."""

from dataclasses import dataclass

from isthmus.codec.payload import Mode
from isthmus.head.conversation.settings import TOKENS


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """One way to share the work.

    Attributes:
        name: `local`, `split`, `sandwich`, `token ids`.
        setting: how hidden states cross; empty where none do.
        layout: of the conversation; empty: that of the bundle.
        loses: whether its server is killed in mid-answer.
    """

    name: str
    setting: str = ""
    layout: str = ""
    loses: bool = False

    @property
    def mode(self) -> Mode:
        """Of hidden states, where they cross."""
        return Mode[f"HIDDEN_{(self.setting or 'int8').upper()}"]


LOCAL, SPLIT, SANDWICH, IDS = "local", "split", "sandwich", "token ids"
OVER_LINKS = (
    Placement(name=SPLIT, setting="int8"),
    Placement(name=SPLIT, setting="int4"),
    Placement(name=SANDWICH, setting="int8"),
    Placement(name=IDS, layout=TOKENS),
)
