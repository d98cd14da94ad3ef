"""What to make of a language model: the choices of one export."""

import re
from dataclasses import dataclass
from itertools import pairwise

from isthmus.contract.language import Layout
from isthmus.errors import UsageError
from isthmus.export.language.builder import Stretch

POSITIONS = 4096
"""Longest sequence that is exported for unless another one is asked for: tables of angles and caches grow with it."""
HEAD_SHARE = 4
"""`auto` gives the head every fourth layer: on a device of a fourth of the server's speed both halves take equally long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LanguageSettings:
    """What to make.

    Attributes:
        cut: `auto`, or the number of layers of the head; in the sandwich also `K+N`, N being the last layers, on the device.
        layout: `head-tail`, or `sandwich`, where the last layers are on the device too.
        positions: longest sequence; None takes the model's own, 4096 at most.
        version: of the bundle.
        licence: of the model, in words.
    """

    cut: str = "auto"
    layout: Layout = "head-tail"
    positions: int | None = None
    version: str = "1"
    licence: str = ""

    def stretches(self, layers: int) -> tuple[Stretch, ...]:
        """Which layers go into which network, in order.

        Args:
            layers: of the model.

        Raises:
            UsageError: the cut is no number, or leaves a network without layers.
        """
        is_sandwich = self.layout == "sandwich"
        head, last = self._cut(layers, is_sandwich=is_sandwich)
        bounds = [0, head, layers - last, layers] if is_sandwich else [0, head, layers]
        if any(end <= start for start, end in pairwise(bounds)):
            most = layers - 2 if is_sandwich else layers - 1
            raise UsageError(f"--cut {self.cut} of {layers} layers leaves a network empty; {most} layers can be on the device")
        return tuple(Stretch(first=start, last=end, embeds=start == 0, predicts=end == layers) for start, end in pairwise(bounds))

    def _cut(self, layers: int, *, is_sandwich: bool) -> tuple[int, int]:
        if self.cut == "auto":
            return max(1, layers // HEAD_SHARE), 1
        found = re.fullmatch(r"(\d{1,4})(?:\+(\d{1,4}))?", self.cut)
        if found is None or (found[2] and not is_sandwich):
            form = "K or K+N, layers at the begin and at the end" if is_sandwich else "a number of layers"
            raise UsageError(f"--cut {self.cut} of a language model is {form}, or auto")
        return int(found[1]), int(found[2] or 1)
