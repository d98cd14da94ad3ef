"""The charts of the report: accuracy against bytes, where the time goes, and how latencies spread."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from isthmus.bench import drawing, words
from isthmus.bench.content import Outcome
from isthmus.bench.drawing import Drawing, Scale
from isthmus.bench.look import Look, looks, names, stage_colours
from isthmus.contract.metric import Metric

WIDTH = 480
_LEFT, _RIGHT, _TOP = 52, 14, 16
_CURVE_POINTS = 200
_NOTHING_SENT_PX = 58
"""Room left of the logarithmic axis for what sends no bytes."""

Box = tuple[float, float, float, float]
"""Left, top, right and bottom of what is drawn already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One entry of a legend: a small drawing and its words."""

    swatch: Markup
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """A drawing with its legend."""

    svg: Markup
    keys: Sequence[Key]


def accuracy_against_bytes(outcomes: Sequence[Outcome], reference: Metric | None) -> Chart:
    """Accuracy with its interval over the mean payload, bytes on a logarithmic axis; what sends nothing stands at the left."""
    shown = _distinct(outcomes)
    height, bottom = 316, 270
    told = "; ".join(
        f"{outcome.row.label} {words.share(outcome.row.metric.value)} at {words.size(outcome.row.bytes_payload_mean)}"
        for outcome, _look in shown
    )
    page = Drawing(WIDTH, height, description=f"Accuracy against mean payload: {told}.")
    metrics = [outcome.row.metric for outcome, _look in shown] + ([reference] if reference else [])
    low, high = min(metric.low for metric in metrics), max(metric.high for metric in metrics)
    pad = max(0.005, (high - low) * 0.12)
    low, high = max(0.0, low - pad), min(1.0, high + pad)
    across, down = _byte_scale(page, shown, bottom), drawing.linear(low, high, bottom, _TOP)
    _share_axis(page, down, low, high)
    if reference:
        page.line((_LEFT, down(reference.value)), (WIDTH - _RIGHT, down(reference.value)), style="reference")
        page.text((WIDTH - _RIGHT, down(reference.value) - 5), "unsplit network", anchor="end", style="soft")
    taken: list[Box] = []
    if reference:
        taken.append((_LEFT, down(reference.value) - 2, WIDTH - _RIGHT, down(reference.value) + 2))
    _points(page, shown, across, down, taken)
    page.text(((_LEFT + WIDTH - _RIGHT) / 2, height - 6), "mean payload per answered frame (logarithmic)", anchor="middle")
    return Chart(svg=page.svg(), keys=[])


def _distinct(outcomes: Sequence[Outcome]) -> list[tuple[Outcome, Look]]:
    """Outcomes that differ in label, accuracy or bytes: the same placement over another link is mostly the same point."""
    found: dict[object, tuple[Outcome, Look]] = {}
    for outcome, look in zip(outcomes, looks(outcomes), strict=True):
        found.setdefault((outcome.row.label, outcome.row.metric, round(outcome.row.bytes_payload_mean)), (outcome, look))
    return list(found.values())


def _byte_scale(page: Drawing, shown: Sequence[tuple[Outcome, Look]], bottom: float) -> Scale:
    """Draw the byte axis; the scale puts 0 bytes at its own place left of the axis."""
    sent = [outcome.row.bytes_payload_mean for outcome, _look in shown if outcome.row.bytes_payload_mean > 0]
    silent = len(sent) < len(shown)
    start = _LEFT + (_NOTHING_SENT_PX if silent else 0)
    low, high = (min(sent) / 1.8, max(sent) * 2.2) if sent else (100, 10_000)
    inner = drawing.logarithmic(low, high, start, WIDTH - _RIGHT)
    for value in drawing.logarithmic_ticks(low, high):
        page.line((inner(value), _TOP), (inner(value), bottom), style="grid")
        label = words.size(value).replace(".00", "")
        if inner(value) + drawing.text_width(label) / 2 <= WIDTH:
            page.text((inner(value), bottom + 17), label, anchor="middle", style="soft")
    page.line((start, bottom), (WIDTH - _RIGHT, bottom), style="axis")
    if silent:
        page.line((_LEFT, bottom), (start - 10, bottom), style="axis")
        page.text(((_LEFT + start - 10) / 2, bottom + 17), "0 B", anchor="middle", style="soft")
    return lambda value: inner(value) if value > 0 else (_LEFT + start - 10) / 2


def _share_axis(page: Drawing, down: Scale, low: float, high: float) -> None:
    values = drawing.ticks(low, high, 6)
    digits = 0 if all(abs(value * 100 - round(value * 100)) < 1e-9 for value in values) else 1
    for value in values:
        page.line((_LEFT, down(value)), (WIDTH - _RIGHT, down(value)), style="grid")
        page.text((_LEFT - 7, down(value) + 4), f"{value:.{digits}%}", anchor="end", style="soft")


def _points(page: Drawing, shown: Sequence[tuple[Outcome, Look]], across: Scale, down: Scale, taken: list[Box]) -> None:
    for outcome, look in shown:
        row, x = outcome.row, across(outcome.row.bytes_payload_mean)
        top, middle, low = down(row.metric.high), down(row.metric.value), down(row.metric.low)
        tip = f"{row.label}: {words.share(row.metric.value)} ({words.interval(row.metric)}), {words.size(row.bytes_payload_mean)}"
        page.path(
            f"M{x:.1f} {top:.1f}V{low:.1f}M{x - 5:.1f} {top:.1f}h10M{x - 5:.1f} {low:.1f}h10", stroke=look.colour, style="bar"
        )
        page.path(drawing.marker(look.marker, x, middle), fill=look.colour, style="mark", tip=tip)
        taken.append((x - 8, min(top, middle - 8), x + 8, max(low, middle + 8)))
    for outcome, _look in shown:
        x, y = across(outcome.row.bytes_payload_mean), down(outcome.row.metric.value)
        _label(page, outcome.row.label, x, y, taken)


def _label(page: Drawing, label: str, x: float, y: float, taken: list[Box]) -> None:
    """Write a label beside its point, where it covers nothing that is there already."""
    wide = drawing.text_width(label)
    places = [
        (start, anchor, base)
        for step in range(9)
        for base in dict.fromkeys((y + 4 + step * 9, y + 4 - step * 9))
        for start, anchor in ((x + 10, "start"), (x - 10, "end"))
        if _LEFT <= start - (wide if anchor == "end" else 0) <= WIDTH - _RIGHT - wide and _TOP + 9 <= base <= 266
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


def stage_breakdown(outcomes: Sequence[Outcome]) -> Chart:
    """Mean time of each stage, one bar for each outcome."""
    stages = list(dict.fromkeys(stage for outcome in outcomes for stage in outcome.row.stages_ms))
    colours = stage_colours(stages)
    totals = [sum(outcome.row.stages_ms.values()) for outcome in outcomes]
    bottom = _TOP + 44 * len(outcomes)
    told = "; ".join(f"{name} {words.milliseconds(total)} ms" for name, total in zip(names(outcomes), totals, strict=True))
    page = Drawing(WIDTH, bottom + 46, description=f"Mean time of each stage, summed: {told}. The table below has every stage.")
    high = max(totals, default=0.0) or 1.0
    across = drawing.linear(0, high, 6, WIDTH - _RIGHT - 62)
    for value in drawing.ticks(0, high):
        page.line((across(value), _TOP), (across(value), bottom), style="grid")
        page.text((across(value), bottom + 17), f"{value:g}", anchor="middle", style="soft")
    for index, (outcome, name, total) in enumerate(zip(outcomes, names(outcomes), totals, strict=True)):
        y = _TOP + 44 * index
        page.text((6, y + 11), name, style="label")
        start = 0.0
        for stage, spent in outcome.row.stages_ms.items():
            size = (max(0.0, across(start + spent) - across(start)), 19.0)
            tip = f"{name}, {stage}: {words.milliseconds(spent)} ms"
            page.rectangle((across(start), y + 17), size, style="segment", colour=colours[stage], tip=tip)
            start += spent
        page.text((across(total) + 6, y + 31), f"{words.milliseconds(total)} ms", style="label")
    page.text((WIDTH / 2, bottom + 38), "mean milliseconds per answered frame", anchor="middle")
    square = '<svg viewBox="0 0 14 14" class="swatch" aria-hidden="true"><rect width="14" height="14" rx="2" fill="{}"/></svg>'
    return Chart(svg=page.svg(), keys=[Key(swatch=Markup(square).format(colours[stage]), words=stage) for stage in stages])


def latency_distribution(outcomes: Sequence[Outcome]) -> Chart | None:
    """Share of frames that were answered within a time; None where no single latencies were kept."""
    series = [
        (np.sort(np.asarray(outcome.latencies_ms, dtype=np.float64)), look, name)
        for outcome, look, name in zip(outcomes, looks(outcomes), names(outcomes), strict=True)
        if len(outcome.latencies_ms)
    ]
    if not series:
        return None
    height, bottom = 316, 270
    told = "; ".join(f"{name} half within {words.milliseconds(float(np.median(values)))} ms" for values, _look, name in series)
    page = Drawing(WIDTH, height, description=f"Share of frames answered within a time: {told}.")
    low = max(1e-3, min(float(values[0]) for values, _look, _name in series) / 1.3)
    high = max(max(float(values[-1]) for values, _look, _name in series) * 1.15, low * 1.01)
    across, down = drawing.logarithmic(low, high, _LEFT, WIDTH - _RIGHT), drawing.linear(0, 1, bottom, _TOP)
    for value in drawing.logarithmic_ticks(low, high):
        page.line((across(value), _TOP), (across(value), bottom), style="grid")
        page.text((across(value), bottom + 17), f"{value:g}", anchor="middle", style="soft")
    _share_axis(page, down, 0, 1)
    for values, look, name in series:
        page.path(_steps(values, across, down), stroke=look.colour, dash=look.dash, style="curve", tip=name)
        middle = float(np.quantile(values, 0.5))
        page.path(drawing.marker(look.marker, across(middle), down(0.5)), fill=look.colour, style="mark", tip=name)
    page.text(((_LEFT + WIDTH - _RIGHT) / 2, height - 6), "milliseconds from capture to answer (logarithmic)", anchor="middle")
    return Chart(svg=page.svg(), keys=[Key(swatch=_line_swatch(look), words=name) for _values, look, name in series])


def _steps(values: np.ndarray, across: Scale, down: Scale) -> str:
    """The distribution as steps; at most `_CURVE_POINTS` of them, always with the first and the last value."""
    places = np.unique(np.linspace(0, len(values) - 1, min(len(values), _CURVE_POINTS)).round().astype(int))
    parts = [f"M{across(values[0]):.1f} {down(0):.1f}"]
    parts += [f"H{across(values[place]):.1f}V{down((place + 1) / len(values)):.1f}" for place in places]
    return "".join(parts)


def _line_swatch(look: Look) -> Markup:
    line = '<path d="M0 7H30" class="curve" stroke="{}" stroke-dasharray="{}" fill="none"/><path d="{}" fill="{}"/>'
    shape = drawing.marker(look.marker, 15, 7, 4)
    inside = Markup(line).format(look.colour, look.dash or "none", shape, look.colour)
    return Markup('<svg viewBox="0 0 30 14" class="swatch wide-swatch" aria-hidden="true">{}</svg>').format(inside)
