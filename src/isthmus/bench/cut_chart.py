"""The picture of a network's cuts: bytes that cross, on a logarithmic scale, along the share of the FLOPs before the cut."""

from collections.abc import Sequence

from isthmus.bench import drawing, words
from isthmus.bench.drawing import Drawing, Scale
from isthmus.bench.look import BLUE, GREY, ORANGE, RED
from isthmus.errors import UsageError
from isthmus.export.cutting.cuts import Cut
from isthmus.export.cutting.listing import crossing_count

WIDTH, HEIGHT = 860, 470
_LEFT, _RIGHT, _TOP, _BOTTOM = 76, 24, 46, 372
_CIRCLE, _DIAMOND = 0, 2
"""Numbers of the markers, see `drawing.marker`: shape tells apart what colour may not."""

STYLE = """
:root { --ink: #1c2126; --soft: #5c656e; --grid: #e4e7ea; --page: #ffffff; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ec; --soft: #9aa4ad; --grid: #2c3338; --page: #15191c; } }
text { font: 12.5px system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", Arial, sans-serif; fill: var(--ink); }
.soft { fill: var(--soft); }
.label { font-weight: 600; }
.over { paint-order: stroke; stroke: var(--page); stroke-width: 4px; }
.page { fill: var(--page); }
.grid { stroke: var(--grid); stroke-width: 1; }
.axis { stroke: var(--soft); stroke-width: 1; }
.reference { stroke: var(--soft); stroke-width: 1.2; stroke-dasharray: 5 4; }
.profile { stroke-width: 1.4; }
.mark { stroke: var(--page); stroke-width: 1; }
.ring { stroke-width: 2.4; }
"""


def draw(name: str, cuts: Sequence[Cut], *, input_bytes: int, automatic: Cut | None, max_tensors: int) -> str:
    """Draw the cuts of one network.

    Args:
        name: of the network.
        cuts: all of them, in order; those of unknown size are left out.
        input_bytes: what the input has at batch 1, 0 if unknown.
        automatic: the cut that `auto` takes, if it takes one.
        max_tensors: cuts of 2 to so many tensors are marked, those of more are part of the grey line alone.

    Returns:
        A self-contained SVG.

    Raises:
        UsageError: no cut has a known size.
    """
    known = [cut for cut in cuts if cut.bytes]
    if not known:
        raise UsageError(
            f"the cuts of {name} have no known size, for its free dimensions do not tell it; fix them in the model to plot"
        )
    page = Drawing(WIDTH, HEIGHT, description=_told(name, known, automatic))
    page.rectangle((0, 0), (WIDTH, HEIGHT), style="page")
    page.text((_LEFT, 24), f"{name}: what crosses at each cut", style="label")
    sizes = [cut.bytes or 0 for cut in known] + ([input_bytes] if input_bytes else [])
    low, high = min(sizes) / 1.7, max(sizes) * 1.7
    across, down = drawing.linear(0, 1, _LEFT, WIDTH - _RIGHT), drawing.logarithmic(low, high, _BOTTOM, _TOP)
    _axes(page, across, down, low, high)
    if input_bytes:
        page.line((_LEFT, down(input_bytes)), (WIDTH - _RIGHT, down(input_bytes)), style="reference")
    page.path(_profile(known, across, down), style="profile", stroke=GREY)
    for cut in sorted(known, key=lambda cut: cut.is_single):
        if crossing_count(cut) <= max_tensors:
            marker, colour, radius = (_CIRCLE, BLUE, 4.6) if cut.is_single else (_DIAMOND, ORANGE, 3.8)
            shape = drawing.marker(marker, across(cut.flops_share), down(cut.bytes or 0), radius)
            page.path(shape, fill=colour, style="mark", tip=_tip(cut))
    if input_bytes:
        told = f"input, {words.size(input_bytes)}"
        page.text((WIDTH - _RIGHT, down(input_bytes) - 6), told, anchor="end", style="over soft")
    if automatic is not None and automatic.bytes:
        _mark(page, across(automatic.flops_share), down(automatic.bytes), automatic)
    _legend(page, max_tensors, with_auto=automatic is not None)
    return page.document(STYLE)


def _told(name: str, cuts: Sequence[Cut], automatic: Cut | None) -> str:
    narrowest = min(cuts, key=lambda cut: cut.bytes or 0)
    least = f"{words.size(narrowest.bytes or 0)} at {narrowest.flops_share:.0%} of the FLOPs"
    told = f"Cuts of {name}: {len(cuts)}, the narrowest {least}"
    return told if automatic is None else f"{told}; auto takes {', '.join(automatic.tensors)}"


def _tip(cut: Cut) -> str:
    crossing = ", ".join((*cut.tensors, *cut.inputs_crossing))
    return f"{cut.index}: {crossing} after {cut.operator}, {words.size(cut.bytes or 0)} at {cut.flops_share:.1%} of the FLOPs"


def _axes(page: Drawing, across: Scale, down: Scale, low: float, high: float) -> None:
    for size in drawing.logarithmic_ticks(low, high):
        page.line((_LEFT, down(size)), (WIDTH - _RIGHT, down(size)), style="grid")
        page.text((_LEFT - 8, down(size) + 4), words.size(size).replace(".00", ""), anchor="end", style="soft")
    for share in drawing.ticks(0, 1, 10):
        page.line((across(share), _TOP), (across(share), _BOTTOM), style="grid")
        page.text((across(share), _BOTTOM + 18), f"{share:.0%}", anchor="middle", style="soft")
    page.line((_LEFT, _BOTTOM), (WIDTH - _RIGHT, _BOTTOM), style="axis")
    page.text(((_LEFT + WIDTH - _RIGHT) / 2, _BOTTOM + 40), "FLOPs before the cut", anchor="middle", style="soft")


def _profile(cuts: Sequence[Cut], across: Scale, down: Scale) -> str:
    """What crosses along the depth, as steps: a cut holds until arithmetic moves it on."""
    parts = [f"M{across(cuts[0].flops_share):.1f} {down(cuts[0].bytes or 0):.1f}"]
    parts += [f"H{across(cut.flops_share):.1f}V{down(cut.bytes or 0):.1f}" for cut in cuts[1:]]
    return "".join(parts)


def _mark(page: Drawing, x: float, y: float, cut: Cut) -> None:
    page.path(drawing.marker(_CIRCLE, x, y, 9), style="ring", stroke=RED, tip=_tip(cut))
    label = f"auto: {cut.tensors[0]}, {words.size(cut.bytes or 0)}"
    fits = x + 14 + drawing.text_width(label) <= WIDTH - _RIGHT
    page.text((x + 14 if fits else x - 14, y + 22), label, anchor="start" if fits else "end", style="over label")


def _legend(page: Drawing, max_tensors: int, *, with_auto: bool) -> None:
    y = HEIGHT - 22
    entries = [(_CIRCLE, BLUE, "one tensor"), (_DIAMOND, ORANGE, f"2 to {max_tensors} tensors")][: 1 if max_tensors < 2 else 2]
    x: float = _LEFT
    for marker, colour, told in entries:
        page.path(drawing.marker(marker, x + 6, y - 4, 4.6), fill=colour, style="mark")
        page.text((x + 18, y), told)
        x += 40 + drawing.text_width(told)
    page.path(f"M{x:.0f} {y - 4:.0f}h22", style="profile", stroke=GREY)
    page.text((x + 29, y), "every cut")
    x += 51 + drawing.text_width("every cut")
    if with_auto:
        page.path(drawing.marker(_CIRCLE, x + 8, y - 4, 8), style="ring", stroke=RED)
        page.text((x + 24, y), "taken by auto")
