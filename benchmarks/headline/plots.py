"""Top-1 against bytes and against device time, as self-contained SVG that follows the reader's light or dark theme."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from benchmarks.headline.bjontegaard import envelope

from isthmus.bench import drawing
from isthmus.bench.cut_chart import STYLE
from isthmus.bench.drawing import Drawing, Scale

WIDTH, HEIGHT = 860, 440
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 18, 52, 60
_LEGEND_ROW = 20
_SOLID = """
.curve { stroke-width: 2.2; }
.thin { stroke-width: 1.4; }
.bar { stroke-width: 1.2; opacity: 0.6; }
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dot:
    """A measured point.

    Attributes:
        x: bytes or milliseconds.
        y: top-1, 0 to 1.
        tip: shown under the pointer.
        low, high: of its interval, where one is drawn.
        on_line: whether the line of its series goes through it.
    """

    x: float
    y: float
    tip: str
    low: float | None = None
    high: float | None = None
    on_line: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """Dots of one kind.

    Attributes:
        name: in the legend.
        dots: in any order.
        colour, marker, dash: how they look; see `isthmus.bench.drawing.marker`.
        strong: drawn larger.
    """

    name: str
    dots: Sequence[Dot]
    colour: str
    marker: int
    dash: str = ""
    strong: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One plot.

    Attributes:
        title: above it.
        axis: what x is; its scale is logarithmic.
        series: to draw, the last one on top.
        lines: (name, top-1) of horizontal lines.
        span: points of top-1 below the best that are shown.
    """

    title: str
    axis: str
    series: Sequence[Series]
    lines: Sequence[tuple[str, float]] = ()
    span: float = 0.15


def marked(dots: Sequence[Dot]) -> list[Dot]:
    """The same; the line goes through those that no other dot beats."""
    best = set(envelope([(dot.x, dot.y) for dot in dots]))
    return [replace(dot, on_line=(dot.x, dot.y) in best) for dot in dots]


def draw(panels: Sequence[Panel], *, description: str, width: float = WIDTH) -> str:
    """Panels beside each other."""
    each = width / len(panels)
    rows = max((len(_legend_rows(panel, each)) for panel in panels), default=0)
    height = HEIGHT + 4 + rows * _LEGEND_ROW
    page = Drawing(width, height, description=description)
    page.rectangle((0, 0), (width, height), style="page")
    for place, panel in enumerate(panels):
        _panel(page, panel, place * each, each)
    return page.document(STYLE + _SOLID)


def _panel(page: Drawing, panel: Panel, left: float, width: float) -> None:
    start, end, top, bottom = left + _LEFT, left + width - _RIGHT, _TOP, HEIGHT - _BOTTOM
    page.text((left + 16, 24), panel.title, style="label")
    dots = [dot for series in panel.series for dot in series.dots]
    if not dots:
        page.text(((start + end) / 2, (top + bottom) / 2), "not measured yet", anchor="middle", style="soft")
        return
    best = max([dot.y for dot in dots] + [y for _, y in panel.lines])
    low, high = max(0.0, best - panel.span), min(1.0, best + 0.012)
    shown = [dot for dot in dots if dot.y >= low]
    across = drawing.logarithmic(min(dot.x for dot in shown) / 1.15, max(dot.x for dot in shown) * 1.15, start, end)
    down = drawing.linear(low, high, bottom, top)
    _axes(page, panel, (across, down), (low, high), shown, (start, end, top, bottom))
    for series in panel.series:
        _series(page, series, across, down, (low, high))
    for name, y in panel.lines:
        page.text((start + 6, down(y) - 6), f"{name}, {y:.1%}", style="over soft")
    _legend(page, panel, left, width)


def _axes(
    page: Drawing,
    panel: Panel,
    scales: tuple[Scale, Scale],
    limits: tuple[float, float],
    shown: Sequence[Dot],
    box: tuple[float, float, float, float],
) -> None:
    (across, down), (start, end, top, bottom) = scales, box
    for share in drawing.ticks(*limits, 6):
        page.line((start, down(share)), (end, down(share)), style="grid")
        page.text((start - 8, down(share) + 4), f"{share:.0%}", anchor="end", style="soft")
    for value in drawing.logarithmic_ticks(min(dot.x for dot in shown) / 1.15, max(dot.x for dot in shown) * 1.15):
        page.line((across(value), top), (across(value), bottom), style="grid")
        page.text((across(value), bottom + 18), f"{value:g}", anchor="middle", style="soft")
    page.line((start, bottom), (end, bottom), style="axis")
    page.text(((start + end) / 2, bottom + 40), panel.axis, anchor="middle", style="soft")
    for _, y in panel.lines:
        page.line((start, down(y)), (end, down(y)), style="reference")


def _series(page: Drawing, series: Series, across: Scale, down: Scale, limits: tuple[float, float]) -> None:
    low, high = limits
    dots = sorted((dot for dot in series.dots if dot.y >= low), key=lambda dot: dot.x)
    line = [(across(dot.x), down(dot.y)) for dot in dots if dot.on_line]
    if len(line) > 1:
        data = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in line)
        page.path(data, style="curve" if series.strong else "thin", stroke=series.colour, dash=series.dash)
    for dot in dots:
        x, y = across(dot.x), down(dot.y)
        if dot.low is not None and dot.high is not None:
            page.line((x, down(max(dot.low, low))), (x, down(min(dot.high, high))), style="bar", colour=series.colour)
        radius = (6.0 if series.strong else 4.2) if dot.on_line else 3.0
        page.path(drawing.marker(series.marker, x, y, radius), fill=series.colour, style="mark", tip=dot.tip)


def _legend_rows(panel: Panel, width: float) -> list[list[Series]]:
    rows: list[list[Series]] = [[]]
    used = 0.0
    for series in panel.series[::-1]:
        if not series.dots:
            continue
        wide = 34 + drawing.text_width(series.name)
        if rows[-1] and used + wide > width - 24:
            rows.append([])
            used = 0.0
        rows[-1].append(series)
        used += wide
    return rows if rows[0] else []


def _legend(page: Drawing, panel: Panel, left: float, width: float) -> None:
    y = HEIGHT + 8.0
    for row in _legend_rows(panel, width):
        x = left + 16
        for series in row:
            page.path(f"M{x:.0f} {y - 4:.0f}h18", style="thin", stroke=series.colour, dash=series.dash)
            page.path(drawing.marker(series.marker, x + 9, y - 4, 4.2), fill=series.colour, style="mark")
            page.text((x + 24, y), series.name)
            x += 34 + drawing.text_width(series.name)
        y += _LEGEND_ROW
