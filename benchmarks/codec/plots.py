"""Bars of bytes as self-contained SVG."""

from collections.abc import Sequence
from dataclasses import dataclass

from isthmus.bench import drawing
from isthmus.bench.cut_chart import STYLE
from isthmus.bench.drawing import Drawing
from isthmus.bench.look import BLUE, GREY, ORANGE

WIDTH = 860
_LEFT, _RIGHT, _TOP, _BAR, _GAP = 250, 70, 64, 13, 16


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar; `kind` 0: a rival, 1: the codec, 2: a limit."""

    label: str
    share: float
    kind: int


def bars(title: str, groups: Sequence[tuple[str, Sequence[Bar]]], axis: str) -> str:
    """Groups of horizontal bars over one scale from 0 on.

    Args:
        title: above the plot.
        groups: a heading and its bars.
        axis: what a bar's length means; 1 is marked.
    """
    height = _TOP + sum(len(group) * (_BAR + 3) + _GAP + 18 for _, group in groups) + 26
    most = max(bar.share for _, group in groups for bar in group)
    page = Drawing(WIDTH, height, description=f"{title}: {axis}.")
    across = drawing.linear(0, most, _LEFT, WIDTH - _RIGHT)
    page.rectangle((0, 0), (WIDTH, height), style="page")
    page.text((16, 24), title, style="label")
    page.text((16, 44), axis, style="soft")
    y: float = _TOP
    for heading, group in groups:
        page.text((16, y + 12), heading, style="label")
        y += 18
        for bar in group:
            colour = (GREY, BLUE, ORANGE)[bar.kind]
            page.text((_LEFT - 8, y + _BAR - 2), bar.label, anchor="end", style="soft" if bar.kind != 1 else "")
            page.rectangle((_LEFT, y), (across(bar.share) - _LEFT, _BAR), colour=colour)
            page.text((across(bar.share) + 6, y + _BAR - 2), f"{bar.share:.2f}", style="soft")
            y += _BAR + 3
        y += _GAP
    page.line((across(1), _TOP), (across(1), y - _GAP + 4), style="reference")
    return page.document(STYLE)
