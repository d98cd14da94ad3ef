"""Vector drawings inside HTML: a page of shapes with axes, nothing loaded from anywhere.

Every text is escaped here and nowhere else. Colours are classes of the report's style sheet or plain values; `currentColor` and
the classes follow the reader's light or dark theme.
"""

import math
from collections.abc import Callable, Sequence

from markupsafe import Markup

Scale = Callable[[float], float]
FONT_PX = 12.5
_CHARACTER_PX = 0.62 * FONT_PX
"""Mean advance of a character in common bold sans-serif fonts."""


class Drawing:
    """Shapes on a page of `width` x `height` units; y grows downwards.

    Args:
        width: units across; the browser scales the page to the room there is.
        height: units down.
        description: what the drawing shows, for readers who do not see it.
    """

    def __init__(self, width: float, height: float, *, description: str) -> None:
        self.width = width
        self.height = height
        self._description = description
        self._shapes: list[Markup] = []

    def line(self, start: tuple[float, float], end: tuple[float, float], *, style: str = "", colour: str = "") -> None:
        """A straight line of class `style`."""
        stroke = Markup(' stroke="{}"').format(colour) if colour else ""
        self._shapes.append(
            Markup('<line class="{}" x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}"{}/>').format(style, *start, *end, stroke)
        )

    def rectangle(
        self, corner: tuple[float, float], size: tuple[float, float], *, style: str = "", colour: str = "", tip: str = ""
    ) -> None:
        """A filled rectangle; `tip` shows under the pointer."""
        fill = Markup(' fill="{}"').format(colour) if colour else ""
        inside = Markup("<title>{}</title>").format(tip) if tip else ""
        self._shapes.append(
            Markup('<rect class="{}" x="{:.2f}" y="{:.1f}" width="{:.2f}" height="{:.1f}"{}>{}</rect>').format(
                style, *corner, *size, fill, inside
            )
        )

    def path(self, data: str, *, style: str = "", stroke: str = "", fill: str = "none", dash: str = "", tip: str = "") -> None:
        """A path in SVG's own notation."""
        inside = Markup("<title>{}</title>").format(tip) if tip else ""
        self._shapes.append(
            Markup('<path class="{}" d="{}" stroke="{}" fill="{}" stroke-dasharray="{}">{}</path>').format(
                style, data, stroke or "none", fill, dash or "none", inside
            )
        )

    def text(self, place: tuple[float, float], words: str, *, anchor: str = "start", style: str = "") -> None:
        """One line of text whose baseline starts, has its middle, or ends at `place`."""
        self._shapes.append(
            Markup('<text class="{}" x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text>').format(style, *place, anchor, words)
        )

    def svg(self) -> Markup:
        """The drawing as an element of an HTML page."""
        page = Markup('<svg viewBox="0 0 {:g} {:g}" role="img" aria-label="{}">').format(
            self.width, self.height, self._description
        )
        return page + Markup("").join(self._shapes) + Markup("</svg>")

    def document(self, style: str) -> str:
        """The drawing as a file of its own, an SVG that any browser shows.

        Args:
            style: CSS for the classes that were drawn with.
        """
        opening = Markup('<svg xmlns="http://www.w3.org/2000/svg" width="{:g}" height="{:g}" viewBox="0 0 {:g} {:g}">').format(
            self.width, self.height, self.width, self.height
        )
        told = Markup("<title>{}</title>").format(self._description)
        inside = told + Markup("<style>{}</style>").format(Markup(style)) + Markup("").join(self._shapes)
        return str(opening + inside + Markup("</svg>\n"))


def text_width(words: str) -> float:
    """About how many units a line of text takes."""
    return len(words) * _CHARACTER_PX


def linear(low: float, high: float, start: float, end: float) -> Scale:
    """A scale that maps low..high to start..end.

    >>> linear(0, 10, 100, 200)(2.5)
    125.0
    """
    span = (high - low) or 1.0
    return lambda value: start + (value - low) / span * (end - start)


def logarithmic(low: float, high: float, start: float, end: float) -> Scale:
    """A scale that maps low..high to start..end by logarithm; values at or below zero lie at `low`."""
    inner = linear(math.log10(low), math.log10(high), start, end)
    return lambda value: inner(math.log10(max(value, low)))


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """About `count` round values in low..high, steps of 1, 2 or 5 times a power of ten.

    >>> ticks(0, 10), ticks(0.93, 1.0, 4)
    ([0.0, 2.0, 4.0, 6.0, 8.0, 10.0], [0.94, 0.96, 0.98, 1.0])
    """
    rough = max(high - low, 1e-12) / max(count, 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(index * step, 12) for index in range(first, last + 1)]


def logarithmic_ticks(low: float, high: float) -> list[float]:
    """1, 2 and 5 times powers of ten in low..high; powers alone where that is plenty.

    >>> logarithmic_ticks(30, 700)
    [50, 100, 200, 500]
    """
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    factors: Sequence[int] = (1, 2, 5) if math.log10(high / low) < 2.5 else (1,)
    values = [factor * 10.0**power for power in powers for factor in factors]
    return [int(value) if value >= 1 else round(value, 9) for value in values if low * 0.999 <= value <= high * 1.001]


def marker(kind: int, x: float, y: float, radius: float = 5.5) -> str:
    """Path of the marker number `kind`: circle, square, diamond, triangle, and again; shape tells what colour may not."""
    shapes = (
        f"M{x - radius:.1f} {y:.1f}a{radius} {radius} 0 1 0 {2 * radius} 0a{radius} {radius} 0 1 0 {-2 * radius} 0z",
        f"M{x - radius * 0.9:.1f} {y - radius * 0.9:.1f}h{1.8 * radius:.1f}v{1.8 * radius:.1f}h{-1.8 * radius:.1f}z",
        f"M{x:.1f} {y - radius * 1.25:.1f}l{1.25 * radius:.1f} {1.25 * radius:.1f}l{-1.25 * radius:.1f} {1.25 * radius:.1f}"
        f"l{-1.25 * radius:.1f} {-1.25 * radius:.1f}z",
        f"M{x:.1f} {y - radius * 1.2:.1f}l{1.15 * radius:.1f} {2.1 * radius:.1f}h{-2.3 * radius:.1f}z",
    )
    return shapes[kind % len(shapes)]
