"""Tokens as they come to text as it can be shown: whole characters only, and nothing of a stop string.

A token may be a part of a character, and of a word in ways that depend on its neighbours, so text is what the tokens so far give
together, less what they gave before.
"""

from collections.abc import Callable, Sequence

_UNFINISHED = "\ufffd"
"""What a decoder gives for a part of a character."""
_WINDOW = 8
"""Tokens before the new ones that are decoded with them: no character and no join is longer."""


class Speech:
    """The text of one answer.

    Args:
        decode: tokens to text.
        stops: the answer ends before the first of these.
    """

    def __init__(self, decode: Callable[[Sequence[int]], str], stops: Sequence[str] = ()) -> None:
        self._decode = decode
        self._stops = tuple(stop for stop in stops if stop)
        self._ids: list[int] = []
        self._settled = 0
        """Tokens whose text is out."""
        self._held = ""
        """Text that may be the begin of a stop string."""
        self.stopped: str | None = None
        """The stop string that came."""

    def add(self, token: int) -> str:
        """Take a token; the text that can be shown now, perhaps none."""
        self._ids.append(token)
        begin = max(0, self._settled - _WINDOW)
        before = self._decode(self._ids[begin : self._settled])
        now = self._decode(self._ids[begin:])
        if now.endswith(_UNFINISHED):
            return ""
        self._settled = len(self._ids)
        return self._show(now[len(before) :])

    def finish(self) -> str:
        """What was held back and is no stop string after all."""
        if self.stopped is not None:
            return ""
        begin = max(0, self._settled - _WINDOW)
        rest = self._decode(self._ids[begin:])[len(self._decode(self._ids[begin : self._settled])) :]
        self._settled = len(self._ids)
        shown, self._held = self._held + rest, ""
        return shown

    def _show(self, text: str) -> str:
        self._held += text
        found = [(self._held.index(stop), stop) for stop in self._stops if stop in self._held]
        if found:
            place, self.stopped = min(found)
            shown, self._held = self._held[:place], ""
            return shown
        keep = max((_overlap(self._held, stop) for stop in self._stops), default=0)
        shown, self._held = self._held[: len(self._held) - keep], self._held[len(self._held) - keep :]
        return shown


def _overlap(text: str, stop: str) -> int:
    """How many last characters of a text begin a stop string.

    >>> _overlap("and so", "some"), _overlap("and so", "or")
    (2, 1)
    """
    return next((size for size in range(min(len(text), len(stop) - 1), 0, -1) if stop.startswith(text[-size:])), 0)
