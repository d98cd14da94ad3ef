"""The timeline of a streamed run: strips of time, three lanes each, what was to be seen, what passed, and what was answered."""

import math
from collections.abc import Callable, Iterator, Sequence

from markupsafe import Markup

from isthmus.bench import drawing
from isthmus.bench.content import Moment, Timeline
from isthmus.bench.drawing import Drawing
from isthmus.bench.legend import Chart, Key
from isthmus.bench.look import BLUE, GREEN, GREY, PURPLE, RED

_LEFT, _RIGHT = 62, 12
_LANES = ("in view", "gate", "answer")
_LANE_PX, _STRIP_PX = 15, 78
_STRIPS_MAX = 12


def strips(timeline: Timeline, *, width: int, frames_per_strip: int) -> Chart:
    """Draw a timeline.

    Args:
        timeline: at least one moment.
        width: of the drawing.
        frames_per_strip: about how many frames stand in one line; more where the run is long.
    """
    first, last = timeline.moments[0].sequence, timeline.moments[-1].sequence + 1
    count = min(_STRIPS_MAX, math.ceil((last - first) / frames_per_strip))
    length = math.ceil((last - first) / count)
    page = Drawing(width, _STRIP_PX * count + 22, description=_description(timeline))
    for index in range(count):
        start = first + index * length
        inside = [moment for moment in timeline.moments if start <= moment.sequence < start + length]
        _strip(page, inside, start, min(length, last - start), length, top=_STRIP_PX * index + 4, rate=timeline.frames_per_s)
    unit = "seconds" if timeline.frames_per_s else "frame number"
    page.text(((_LEFT + width - _RIGHT) / 2, _STRIP_PX * count + 17), unit, anchor="middle")
    return Chart(svg=page.svg(), keys=_keys(timeline.subject))


def _description(timeline: Timeline) -> str:
    moments = timeline.moments
    passed, right = sum(moment.gate_open for moment in moments), sum(moment.correct is True for moment in moments)
    wrong = sum(moment.correct is False for moment in moments)
    return f"{len(moments)} frames in order: {passed} passed the gate, {right} were answered right and {wrong} wrong."


def _strip(
    page: Drawing, moments: Sequence[Moment], start: int, shown: int, length: int, *, top: float, rate: float | None
) -> None:
    across = drawing.linear(start, start + length, _LEFT, page.width - _RIGHT)
    bottom = top + _LANE_PX * len(_LANES) + 6
    for lane, name in enumerate(_LANES):
        page.text((_LEFT - 8, top + _LANE_PX * lane + 11), name, anchor="end", style="soft")
    per_unit = rate or 1.0
    for value in drawing.ticks(start / per_unit, (start + shown) / per_unit, 8 if page.width > 600 else 4):
        page.line((across(value * per_unit), top), (across(value * per_unit), bottom), style="grid")
        page.text((across(value * per_unit), bottom + 13), f"{value:g}", anchor="middle", style="soft")
    page.line((_LEFT, bottom), (across(start + shown), bottom), style="axis")
    page.path(_bars(moments, lambda moment: moment.shown is True, across, top + 2, 10), fill=GREY)
    page.path(_bars(moments, lambda moment: moment.gate_open, across, top + _LANE_PX + 2, 10), fill=BLUE)
    answers = top + 2 * _LANE_PX
    page.path(_ticks(moments, lambda moment: moment.correct is True, across, answers + 2, 8), stroke=GREEN, style="tick")
    unknown = _ticks(moments, lambda moment: moment.answered and moment.correct is None, across, answers + 4, 4)
    page.path(unknown, stroke=GREY, style="tick")
    page.path(_ticks(moments, lambda moment: moment.correct is False, across, answers + 5, 14), stroke=RED, style="tick")
    page.path(_ticks(moments, lambda m: m.gate_open and not m.answered, across, answers + 8, 10), stroke=PURPLE, style="tick")


def _runs(moments: Sequence[Moment], holds: Callable[[Moment], bool]) -> Iterator[tuple[int, int]]:
    """First and one past the last number of every run of neighbours for which `holds`."""
    begin = end = None
    for moment in moments:
        if not holds(moment):
            continue
        if begin is None or end is None or moment.sequence != end:
            if begin is not None and end is not None:
                yield begin, end
            begin = moment.sequence
        end = moment.sequence + 1
    if begin is not None and end is not None:
        yield begin, end


def _bars(moments: Sequence[Moment], holds: Callable[[Moment], bool], across: drawing.Scale, top: float, height: float) -> str:
    return "".join(
        f"M{across(begin):.1f} {top:g}H{max(across(end), across(begin) + 0.5):.1f}v{height:g}H{across(begin):.1f}z"
        for begin, end in _runs(moments, holds)
    )


def _ticks(moments: Sequence[Moment], holds: Callable[[Moment], bool], across: drawing.Scale, top: float, height: float) -> str:
    return "".join(f"M{across(moment.sequence + 0.5):.1f} {top:g}v{height:g}" for moment in moments if holds(moment))


def _keys(subject: str) -> list[Key]:
    bar = '<svg viewBox="0 0 14 14" class="swatch" aria-hidden="true"><rect y="2" width="14" height="10" fill="{}"/></svg>'
    tick = (
        '<svg viewBox="0 0 14 16" class="swatch" aria-hidden="true">'
        '<path d="M3 {0:g}v{1:g}M7 {0:g}v{1:g}M11 {0:g}v{1:g}" stroke="{2}" stroke-width="1.6" fill="none"/></svg>'
    )
    return [
        Key(swatch=Markup(bar).format(GREY), words=f"{subject} in view"),
        Key(swatch=Markup(bar).format(BLUE), words="gate open"),
        Key(swatch=Markup(tick).format(0, 8, GREEN), words="answered right"),
        Key(swatch=Markup(tick).format(2, 14, RED), words="answered wrong (longer)"),
        Key(swatch=Markup(tick).format(2, 4, GREY), words="answered, truth not known (shorter)"),
        Key(swatch=Markup(tick).format(6, 10, PURPLE), words="not answered (lower)"),
    ]
