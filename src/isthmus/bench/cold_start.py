"""How long one program took from the start of its process to the first answer."""

from dataclasses import dataclass
from statistics import median
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class ColdStart:
    """Starts of one program.

    Attributes:
        program: `serve`, or `run` with its placement.
        ready_s: until it said that it is ready; empty for programs that do not say so.
        first_answer_s: until its first answer was there.
    """

    program: str
    ready_s: tuple[float, ...] = ()
    first_answer_s: tuple[float, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """In the types that JSON has."""
        return {"program": self.program, "ready_s": list(self.ready_s), "first_answer_s": list(self.first_answer_s)}

    @property
    def words(self) -> str:
        """For people.

        >>> ColdStart(program="serve", ready_s=(0.5, 0.75), first_answer_s=(1.0, 1.5)).words
        'Cold start of `isthmus serve`: first answer after 1.25 s (median of 2 starts, 1.00 to 1.50 s), ready after 0.62 s.'
        """
        first = self.first_answer_s
        ready = f", ready after {median(self.ready_s):.2f} s" if self.ready_s else ""
        spread = f"median of {len(first)} starts, {min(first):.2f} to {max(first):.2f} s"
        return f"Cold start of `isthmus {self.program}`: first answer after {median(first):.2f} s ({spread}){ready}."
