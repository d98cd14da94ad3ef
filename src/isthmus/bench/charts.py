"""The charts of the report: accuracy against bytes, where the time goes, and how latencies spread."""

from collections.abc import Sequence

import numpy as np

from isthmus.bench import axes, drawing, words
from isthmus.bench.axes import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, Box
from isthmus.bench.content import Outcome
from isthmus.bench.drawing import Drawing, Scale
from isthmus.bench.legend import Chart, line_key, square_key
from isthmus.bench.look import Look, looks, names, stage_colours
from isthmus.contract.metric import Metric

_CURVE_POINTS = 200


def accuracy_against_bytes(outcomes: Sequence[Outcome], reference: Metric | None) -> Chart:
    """Accuracy with its interval over the mean payload, bytes on a logarithmic axis; what sends nothing stands at the left."""
    shown = _distinct(outcomes)
    told = "; ".join(
        f"{outcome.row.label} {words.share(outcome.row.metric.value)} at {words.size(outcome.row.bytes_payload_mean)}"
        for outcome, _look in shown
    )
    page = Drawing(WIDTH, HEIGHT, description=f"Accuracy against mean payload: {told}.")
    metrics = [outcome.row.metric for outcome, _look in shown] + ([reference] if reference else [])
    low, high = min(metric.low for metric in metrics), max(metric.high for metric in metrics)
    pad = max(0.005, (high - low) * 0.12)
    low, high = max(0.0, low - pad), min(1.0, high + pad)
    across = axes.byte_axis(page, [outcome.row.bytes_payload_mean for outcome, _look in shown])
    down = drawing.linear(low, high, BOTTOM, TOP)
    axes.share_axis(page, down, low, high)
    if reference:
        page.line((LEFT, down(reference.value)), (WIDTH - RIGHT, down(reference.value)), style="reference")
        page.text((WIDTH - RIGHT, down(reference.value) - 5), "unsplit network", anchor="end", style="soft")
    taken: list[Box] = []
    if reference:
        taken.append((LEFT, down(reference.value) - 2, WIDTH - RIGHT, down(reference.value) + 2))
    _points(page, shown, across, down, taken)
    page.text(((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 6), "mean payload per answered frame (logarithmic)", anchor="middle")
    return Chart(svg=page.svg())


def _distinct(outcomes: Sequence[Outcome]) -> list[tuple[Outcome, Look]]:
    """Outcomes that differ in label, accuracy or bytes: the same placement over another link is mostly the same point."""
    found: dict[object, tuple[Outcome, Look]] = {}
    for outcome, look in zip(outcomes, looks(outcomes), strict=True):
        found.setdefault((outcome.row.label, outcome.row.metric, round(outcome.row.bytes_payload_mean)), (outcome, look))
    return list(found.values())


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
        axes.place_label(page, outcome.row.label, x, y, taken)


def stage_breakdown(outcomes: Sequence[Outcome]) -> Chart:
    """Mean time of each stage, one bar for each outcome."""
    stages = list(dict.fromkeys(stage for outcome in outcomes for stage in outcome.row.stages_ms))
    colours = stage_colours(stages)
    totals = [sum(outcome.row.stages_ms.values()) for outcome in outcomes]
    bottom = TOP + 44 * len(outcomes)
    told = "; ".join(f"{name} {words.milliseconds(total)} ms" for name, total in zip(names(outcomes), totals, strict=True))
    page = Drawing(WIDTH, bottom + 46, description=f"Mean time of each stage, summed: {told}. The table below has every stage.")
    high = max(totals, default=0.0) or 1.0
    across = drawing.linear(0, high, 6, WIDTH - RIGHT - 62)
    for value in drawing.ticks(0, high):
        page.line((across(value), TOP), (across(value), bottom), style="grid")
        page.text((across(value), bottom + 17), f"{value:g}", anchor="middle", style="soft")
    for index, (outcome, name, total) in enumerate(zip(outcomes, names(outcomes), totals, strict=True)):
        y = TOP + 44 * index
        page.text((6, y + 11), name, style="label")
        start = 0.0
        for stage, spent in outcome.row.stages_ms.items():
            size = (max(0.0, across(start + spent) - across(start)), 19.0)
            tip = f"{name}, {stage}: {words.milliseconds(spent)} ms"
            page.rectangle((across(start), y + 17), size, style="segment", colour=colours[stage], tip=tip)
            start += spent
        page.text((across(total) + 6, y + 31), f"{words.milliseconds(total)} ms", style="label")
    page.text((WIDTH / 2, bottom + 38), "mean milliseconds per answered frame", anchor="middle")
    return Chart(svg=page.svg(), keys=[square_key(colours[stage], stage) for stage in stages])


def latency_distribution(outcomes: Sequence[Outcome], *, subject: str = "frame") -> Chart | None:
    """Share of frames that were answered within a time; None where no single latencies were kept.

    Args:
        outcomes: of the frames, or of what else is waited for.
        subject: what that is: `frame`, or `token`, which is waited for from the one before it.
    """
    series = [
        (np.sort(np.asarray(outcome.latencies_ms, dtype=np.float64)), look, name)
        for outcome, look, name in zip(outcomes, looks(outcomes), names(outcomes), strict=True)
        if len(outcome.latencies_ms)
    ]
    if not series:
        return None
    told = "; ".join(f"{name} half within {words.milliseconds(float(np.median(values)))} ms" for values, _look, name in series)
    page = Drawing(WIDTH, HEIGHT, description=f"Share of {subject}s answered within a time: {told}.")
    low = max(1e-3, min(float(values[0]) for values, _look, _name in series) / 1.3)
    high = max(max(float(values[-1]) for values, _look, _name in series) * 1.15, low * 1.01)
    across, down = axes.time_axis(page, low, high), drawing.linear(0, 1, BOTTOM, TOP)
    axes.share_axis(page, down, 0, 1)
    for values, look, name in series:
        page.path(_steps(values, across, down), stroke=look.colour, dash=look.dash, style="curve", tip=name)
        middle = float(np.quantile(values, 0.5))
        page.path(drawing.marker(look.marker, across(middle), down(0.5)), fill=look.colour, style="mark", tip=name)
    waited = "from capture to answer" if subject == "frame" else f"from {subject} to {subject}"
    page.text(((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 6), f"milliseconds {waited} (logarithmic)", anchor="middle")
    return Chart(svg=page.svg(), keys=[line_key(look, name) for _values, look, name in series])


def _steps(values: np.ndarray, across: Scale, down: Scale) -> str:
    """The distribution as steps; at most `_CURVE_POINTS` of them, always with the first and the last value."""
    places = np.unique(np.linspace(0, len(values) - 1, min(len(values), _CURVE_POINTS)).round().astype(int))
    parts = [f"M{across(values[0]):.1f} {down(0):.1f}"]
    parts += [f"H{across(values[place]):.1f}V{down((place + 1) / len(values)):.1f}" for place in places]
    return "".join(parts)
