"""Charts of an evaluation: the split's points beside pictures of every quality, and beside what the device can do alone."""

from collections.abc import Callable, Sequence

from isthmus.bench import axes, drawing, words
from isthmus.bench.axes import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH
from isthmus.bench.drawing import Drawing, Scale
from isthmus.bench.evaluation import Rated
from isthmus.bench.legend import Chart, Key, line_key
from isthmus.bench.look import BLUE, GREEN, GREY, ORANGE, PURPLE, RED, SKY, Look

_KNOWN = {"split": BLUE, "local": GREEN}
_PICTURES = (ORANGE, PURPLE, RED, SKY, GREY)
_FEW = 4
_DASHES = ("", "7 4", "2 3")


def against_bytes(rows: Sequence[Rated]) -> Chart:
    """Accuracy over mean bytes, a curve for each kind of rival."""
    page = Drawing(WIDTH, HEIGHT, description=f"{_name(rows)} against bytes: {_told(rows)}.")
    across, down = axes.byte_axis(page, [row.bytes_mean for row in rows]), _share_scale(page, rows)
    page.text(((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 6), "mean bytes a picture (logarithmic)", anchor="middle")
    keys = _draw(page, rows, lambda row: across(row.bytes_mean), down, _looks(rows), joined=True)
    return Chart(svg=page.svg(), keys=keys)


def against_time(rows: Sequence[Rated]) -> Chart | None:
    """Accuracy over the time of the device's network; None where fewer than two run one there."""
    shown = [row for row in rows if row.device_ms]
    if len(shown) < 2:
        return None
    page = Drawing(WIDTH, HEIGHT, description=f"{_name(rows)} against time on the device: {_told(shown)}.")
    times = [row.device_ms or 0.0 for row in shown]
    across, down = axes.time_axis(page, min(times) / 1.8, max(times) * 2.2), _share_scale(page, shown)
    page.line((LEFT, BOTTOM), (WIDTH - RIGHT, BOTTOM), style="axis")
    taken: list[axes.Box] = []
    keys = _draw(page, shown, lambda row: across(row.device_ms or 0.0), down, _looks(rows), joined=False)
    for row in shown:
        axes.place_label(page, row.label, across(row.device_ms or 0.0), down(row.metric.value), taken)
    page.text(((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 6), "ms of the device's network, one thread (logarithmic)", anchor="middle")
    return Chart(svg=page.svg(), keys=keys)


def _name(rows: Sequence[Rated]) -> str:
    return rows[0].metric.name.capitalize() if rows else "Accuracy"


def _told(rows: Sequence[Rated]) -> str:
    return "; ".join(f"{row.label} {words.share(row.metric.value)} at {words.size(row.bytes_mean)}" for row in rows)


def _share_scale(page: Drawing, rows: Sequence[Rated]) -> Scale:
    low, high = min(row.metric.value for row in rows), max(row.metric.value for row in rows)
    # Whole intervals of the good half; those of bad settings would flatten it.
    good = [row.metric for row in rows if row.metric.value >= (low + high) / 2 or len(rows) <= _FEW]
    low, high = min(low, *(one.low for one in good)), max(one.high for one in good)
    pad = max(0.005, (high - low) * 0.06)
    down = drawing.linear(max(0.0, low - pad), min(1.0, high + pad), BOTTOM, TOP)
    axes.share_axis(page, down, max(0.0, low - pad), min(1.0, high + pad))
    return down


def _looks(rows: Sequence[Rated]) -> dict[str, Look]:
    """Series -> look: colour and marker by what it is, the dash by the size it was shrunk to."""
    series = list(dict.fromkeys(row.series for row in rows))
    kinds = list(dict.fromkeys(name.partition(" ")[0] for name in series))
    free = iter(_PICTURES * len(kinds))
    colours = {kind: _KNOWN.get(kind) or next(free) for kind in kinds}
    found = {}
    for name in series:
        kind = name.partition(" ")[0]
        sizes = [other for other in series if other.partition(" ")[0] == kind]
        dash = _DASHES[sizes.index(name) % len(_DASHES)]
        found[name] = Look(colour=colours[kind], marker=kinds.index(kind), dash=dash)
    return found


def _draw(
    page: Drawing, rows: Sequence[Rated], across: Callable[[Rated], float], down: Scale, found: dict[str, Look], *, joined: bool
) -> list[Key]:
    for name, look in found.items():
        line = sorted((row for row in rows if row.series == name), key=across)
        places = [(across(row), down(row.metric.value)) for row in line]
        if joined and len(places) > 1 and name != "local":
            data = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
            page.path(data, stroke=look.colour, dash=look.dash, style="curve thin")
        for row, (x, y) in zip(line, places, strict=True):
            bar = f"M{x:.1f} {max(TOP, down(row.metric.high)):.1f}V{min(BOTTOM, down(row.metric.low)):.1f}"
            page.path(bar, stroke=look.colour, style="bar faint")
            tip = f"{row.label}: {words.share(row.metric.value)} ({words.interval(row.metric)}), {words.size(row.bytes_mean)}"
            page.path(drawing.marker(look.marker, x, y, 4.5), fill=look.colour, style="mark", tip=tip)
    shown = {row.series for row in rows}
    return [line_key(look, name) for name, look in found.items() if name in shown]
