"""Bars beside each other as self-contained SVG."""

from collections.abc import Sequence
from dataclasses import dataclass

from isthmus.bench import drawing
from isthmus.bench.cut_chart import STYLE
from isthmus.bench.drawing import Drawing
from isthmus.bench.look import BLUE, GREY, ORANGE

WIDTH = 860
_LEFT, _RIGHT, _TOP, _BAR, _GAP = 230, 90, 62, 14, 14


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar.

    Attributes:
        label: before it.
        value: its length.
        told: behind it.
        kind: 0: a rival, 1: Isthmus, 2: a limit.
    """

    label: str
    value: float
    told: str
    kind: int


def bars(title: str, axis: str, groups: Sequence[tuple[str, Sequence[Bar]]], *, marked: float | None = None) -> str:
    """Groups of horizontal bars over one scale from 0 on.

    Args:
        title: above the plot.
        axis: what a bar's length means.
        groups: a heading and its bars.
        marked: a value to draw a line at.
    """
    height = _TOP + sum(len(group) * (_BAR + 3) + _GAP + 20 for _, group in groups) + 8
    most = max((bar.value for _, group in groups for bar in group), default=1.0)
    page = Drawing(WIDTH, height, description=f"{title}: {axis}.")
    across = drawing.linear(0, max(most, marked or 0.0), _LEFT, WIDTH - _RIGHT)
    page.rectangle((0, 0), (WIDTH, height), style="page")
    page.text((16, 24), title, style="label")
    page.text((16, 44), axis, style="soft")
    y: float = _TOP
    for heading, group in groups:
        page.text((16, y + 13), heading, style="label")
        y += 20
        for bar in group:
            page.text((_LEFT - 8, y + _BAR - 2), bar.label, anchor="end", style="" if bar.kind else "soft")
            colour = (GREY, BLUE, ORANGE)[bar.kind]
            page.rectangle((_LEFT, y), (across(bar.value) - _LEFT, _BAR), colour=colour, tip=f"{bar.label}: {bar.told}")
            page.text((across(bar.value) + 6, y + _BAR - 2), bar.told, style="soft")
            y += _BAR + 3
        y += _GAP
    if marked is not None:
        page.line((across(marked), _TOP), (across(marked), height - 12), style="reference")
    return page.document(STYLE)
