"""The synthetic belt as a source."""

import time

from isthmus.head.belt import Belt
from isthmus.head.frame import Frame, Source


class BeltSource(Source):
    """A synthetic belt; frames in which a digit is only partly visible come without truth."""

    def __init__(self, belt: Belt, *, loop: bool = False, description: str = "belt") -> None:
        self.length = None if loop else len(belt)
        self.description = description
        self._belt = belt
        self._loop = loop
        self._sequence = 0

    def read(self) -> Frame | None:
        """Render the next frame, or return None at the end."""
        if self._sequence >= len(self._belt) and not self._loop:
            return None
        view = self._belt.frame(self._sequence % len(self._belt))
        self._sequence += 1
        return Frame(
            sequence=self._sequence - 1,
            image=view.image,
            captured_s=time.monotonic(),
            label=view.label,
            truth_known=not view.edge,
        )
