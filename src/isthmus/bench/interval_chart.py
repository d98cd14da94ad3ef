"""The chart of a comparison: how much every latency changed, with its interval, as a share of what it was."""

from isthmus.bench import drawing, findings
from isthmus.bench.change import Change
from isthmus.bench.comparison import Comparison
from isthmus.bench.drawing import Drawing
from isthmus.bench.legend import Chart, square_key
from isthmus.bench.look import GREEN, GREY, RED

WIDTH = 480
_TOP, _LINE_PX = 14, 34
_SIDE = 14
_COLOURS = {"better": GREEN, "worse": RED, "no change seen": GREY}
_WIDEST = 1.0
"""Intervals reach no further than a change of so much to either side; wider ones are cut off at the edge."""


def relative_changes(found: Comparison) -> Chart | None:
    """A line for every latency whose interval is known; None where there is none."""
    lines = [
        (f"{cell.name}, {findings.title(change)}", change)
        for cell in found.cells
        for change in cell.changes
        if change.name.startswith("latency_ms") and change.before and change.low is not None
    ]
    if not lines:
        return None
    told = "; ".join(f"{name} {change.relative or 0:+.1%}, {change.verdict}" for name, change in lines)
    bottom = _TOP + _LINE_PX * len(lines)
    page = Drawing(WIDTH, bottom + 44, description=f"Relative change of latencies with their 95% intervals: {told}.")
    reach = min(_WIDEST, max(0.02, *(max(map(abs, _bounds(change))) for _name, change in lines)) * 1.1)
    across = drawing.linear(-reach, reach, _SIDE, WIDTH - _SIDE)
    for value in drawing.ticks(-reach, reach, 6):
        page.line((across(value), _TOP), (across(value), bottom), style="grid")
        page.text(
            (across(value), bottom + 17), f"{value:+.0%}" if reach > 0.1 else f"{value:+.1%}", anchor="middle", style="soft"
        )
    page.line((across(0), _TOP - 8), (across(0), bottom), style="axis")
    for index, (name, change) in enumerate(lines):
        _line(page, name, change, across, _TOP + _LINE_PX * index, reach)
    page.text((WIDTH / 2, bottom + 36), "change of the latency, second run against the first", anchor="middle")
    return Chart(svg=page.svg(), keys=[square_key(colour, name) for name, colour in _COLOURS.items()])


def _bounds(change: Change) -> tuple[float, float]:
    before = change.before or 1.0
    return (change.low or 0.0) / before, (change.high or 0.0) / before


def _line(page: Drawing, name: str, change: Change, across: drawing.Scale, top: float, reach: float) -> None:
    low, high = (max(-reach, min(reach, bound)) for bound in _bounds(change))
    middle = max(-reach, min(reach, change.relative or 0.0))
    y, colour = top + 22, _COLOURS[change.verdict]
    page.text((_SIDE, top + 10), name, style="label")
    page.path(f"M{across(low):.1f} {y}H{across(high):.1f}", stroke=colour, style="bar")
    page.path(drawing.marker(2, across(middle), y, 5), fill=colour, style="mark", tip=f"{name}: {findings.told(change)}")
