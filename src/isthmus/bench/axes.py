"""Axes of charts, and labels beside points that cover nothing."""

from collections.abc import Sequence

from isthmus.bench import drawing, words
from isthmus.bench.drawing import Drawing, Scale

WIDTH = 480
LEFT, RIGHT, TOP, BOTTOM, HEIGHT = 52, 14, 16, 270, 316
"""Where the plane of a chart of `WIDTH` x `HEIGHT` lies."""
_NOTHING_SENT_PX = 58
"""Room left of the logarithmic axis for what sends no bytes."""

Box = tuple[float, float, float, float]
"""Left, top, right and bottom of what is drawn already."""


def byte_axis(page: Drawing, sizes: Sequence[float]) -> Scale:
    """Draw a logarithmic axis of bytes; the scale puts 0 bytes at its own place left of it."""
    sent = [size for size in sizes if size > 0]
    silent = len(sent) < len(sizes)
    start = LEFT + (_NOTHING_SENT_PX if silent else 0)
    low, high = (min(sent) / 1.8, max(sent) * 2.2) if sent else (100, 10_000)
    inner = drawing.logarithmic(low, high, start, WIDTH - RIGHT)
    for value in drawing.logarithmic_ticks(low, high):
        page.line((inner(value), TOP), (inner(value), BOTTOM), style="grid")
        label = words.size(value).replace(".00", "")
        if inner(value) + drawing.text_width(label) / 2 <= WIDTH:
            page.text((inner(value), BOTTOM + 17), label, anchor="middle", style="soft")
    page.line((start, BOTTOM), (WIDTH - RIGHT, BOTTOM), style="axis")
    if silent:
        page.line((LEFT, BOTTOM), (start - 10, BOTTOM), style="axis")
        page.text(((LEFT + start - 10) / 2, BOTTOM + 17), "0 B", anchor="middle", style="soft")
    return lambda value: inner(value) if value > 0 else (LEFT + start - 10) / 2


def time_axis(page: Drawing, low: float, high: float) -> Scale:
    """Draw a logarithmic axis of milliseconds."""
    across = drawing.logarithmic(low, high, LEFT, WIDTH - RIGHT)
    for value in drawing.logarithmic_ticks(low, high):
        page.line((across(value), TOP), (across(value), BOTTOM), style="grid")
        page.text((across(value), BOTTOM + 17), f"{value:g}", anchor="middle", style="soft")
    return across


def share_axis(page: Drawing, down: Scale, low: float, high: float) -> None:
    """Draw a vertical axis of percent."""
    values = drawing.ticks(low, high, 6)
    digits = 0 if all(abs(value * 100 - round(value * 100)) < 1e-9 for value in values) else 1
    for value in values:
        page.line((LEFT, down(value)), (WIDTH - RIGHT, down(value)), style="grid")
        page.text((LEFT - 7, down(value) + 4), f"{value:.{digits}%}", anchor="end", style="soft")


def place_label(page: Drawing, label: str, x: float, y: float, taken: list[Box]) -> None:
    """Write a label beside its point, where it covers nothing that is there already."""
    wide = drawing.text_width(label)
    places = [
        (start, anchor, base)
        for step in range(9)
        for base in dict.fromkeys((y + 4 + step * 9, y + 4 - step * 9))
        for start, anchor in ((x + 10, "start"), (x - 10, "end"))
        if LEFT <= start - (wide if anchor == "end" else 0) <= WIDTH - RIGHT - wide and TOP + 9 <= base <= BOTTOM - 4
    ]
    boxes = [_box(start, anchor, base, wide) for start, anchor, base in places]
    free = [index for index, box in enumerate(boxes) if not any(_overlap(box, other) for other in taken)]
    if places:
        start, anchor, base = places[free[0] if free else 0]
    else:
        start, anchor, base = WIDTH / 2, "middle", y - 12
    taken.append(_box(start, anchor, base, wide))
    page.text((start, base), label, anchor=anchor, style="label")


def _box(start: float, anchor: str, base: float, wide: float) -> Box:
    left = start - wide * {"start": 0.0, "middle": 0.5, "end": 1.0}[anchor]
    return left, base - 11, left + wide, base + 3


def _overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
