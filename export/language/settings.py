"""What to make of a language model: the choices of one export."""

import re
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from isthmus.contract.language import HEAD, LAST, LOCAL, TAIL, Layout, Weights
from isthmus.errors import UsageError
from isthmus.export.language.builder import Stretch

POSITIONS = 4096
"""Longest sequence that is exported for unless another one is asked for: tables of angles and caches grow with it."""
HEAD_SHARE = 4
"""`auto` gives the head every fourth layer: on a device of a fourth of the server's speed both halves take equally long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One network to build.

    Attributes:
        name: of its file.
        stretch: layers that it has.
        weights: precision of its matrices; its embedding is int8 where they are quantised.
    """

    name: str
    stretch: Stretch
    weights: Weights


@dataclass(frozen=True, slots=True, kw_only=True)
class LanguageSettings:
    """What to make.

    Attributes:
        cut: `auto`, or the number of layers of the head; in the sandwich also `K+N`, N being the last layers, on the device.
        layout: `head-tail`, or `sandwich`, where the last layers are on the device too.
        positions: longest sequence; None takes the model's own, 4096 at most.
        head_weights: of what is on the device: the head, and the last layers of the sandwich.
        tail_weights: of what is on the server.
        local: of the whole model, which goes in as `local.onnx`; None: it does not.
        data: text that calibrates hidden states and on which figures are measured; None: neither.
        version: of the bundle.
        licence: of the model, in words.
    """

    cut: str = "auto"
    layout: Layout = "head-tail"
    positions: int | None = None
    head_weights: Weights = "float32"
    tail_weights: Weights = "float32"
    local: Weights | None = None
    data: Path | None = None
    version: str = "1"
    licence: str = ""

    def parts(self, layers: int) -> tuple[Part, ...]:
        """The networks of the split model in order.

        Args:
            layers: of the model.

        Raises:
            UsageError: the cut is no number, or leaves a network without layers.
        """
        is_sandwich = self.layout == "sandwich"
        head, last = self._cut(is_sandwich=is_sandwich, layers=layers)
        bounds = [0, head, layers - last, layers] if is_sandwich else [0, head, layers]
        if any(end <= start for start, end in pairwise(bounds)):
            most = layers - 2 if is_sandwich else layers - 1
            raise UsageError(f"--cut {self.cut} of {layers} layers leaves a network empty; {most} layers can be on the device")
        weights = (self.head_weights, self.tail_weights, self.head_weights)
        return tuple(
            Part(name=name, stretch=_stretch(start, end, layers), weights=chosen)
            for name, chosen, (start, end) in zip((HEAD, TAIL, LAST), weights, pairwise(bounds), strict=False)
        )

    def alone(self, layers: int) -> tuple[Part, ...]:
        """The network with which the device goes on when the link is gone, if one is asked for."""
        return () if self.local is None else (Part(name=LOCAL, stretch=_stretch(0, layers, layers), weights=self.local),)

    def _cut(self, *, layers: int, is_sandwich: bool) -> tuple[int, int]:
        if self.cut == "auto":
            return max(1, layers // HEAD_SHARE), 1
        found = re.fullmatch(r"(\d{1,4})(?:\+(\d{1,4}))?", self.cut)
        if found is None or (found[2] and not is_sandwich):
            form = "K or K+N, layers at the begin and at the end" if is_sandwich else "a number of layers"
            raise UsageError(f"--cut {self.cut} of a language model is {form}, or auto")
        return int(found[1]), int(found[2] or 1)


def _stretch(start: int, end: int, layers: int) -> Stretch:
    return Stretch(first=start, last=end, embeds=start == 0, predicts=end == layers)
