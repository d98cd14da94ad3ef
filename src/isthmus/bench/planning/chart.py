"""The picture of a plan: latency of each candidate over the rate of the link, both logarithmic, at one round trip."""

from collections.abc import Sequence
from dataclasses import replace

from isthmus.bench import drawing
from isthmus.bench.cut_chart import STYLE
from isthmus.bench.drawing import Drawing, Scale
from isthmus.bench.look import BLUE, GREEN, ORANGE, PURPLE
from isthmus.bench.planning.advice import value
from isthmus.bench.planning.candidate import Candidate
from isthmus.bench.planning.forecast import Forecast, Setting, forecast
from isthmus.bench.planning.plan import OverLink
from isthmus.bench.planning.sensitivity import RATES_BIT_S

WIDTH, HEIGHT = 860, 500
_LEFT, _RIGHT, _TOP, _BOTTOM = 76, 210, 46, 420
_COLOURS = {"local": GREEN, "offload": ORANGE, "split": BLUE}
_DASHES = ("", "7 4", "2 3", "9 3 2 3")
_PICTURES_MAX, _CUTS_MAX = 2, 1
_LABEL_PX = 15
_Curve = tuple[Candidate, list[tuple[float, Forecast]]]
"""What is drawn of one candidate: (bit/s, forecast)."""
_MORE_STYLE = ".curve { stroke-width: 1.8; } .here { stroke: var(--soft); stroke-width: 1; stroke-dasharray: 3 4; }"


def draw(name: str, links: Sequence[OverLink]) -> str:
    """Draw the candidates that matter at the round trip of the first link.

    Args:
        name: of the bundle.
        links: of the plan; their rates are marked.

    Returns:
        A self-contained SVG.
    """
    first = links[0]
    setting = replace(first.setting, link=replace(first.setting.link, trace=None, trace_file="", outages=()))
    shown = _shown(first)
    series = [(one, [(rate, _at(one, setting, rate)) for rate in RATES_BIT_S]) for one in shown]
    times_ms = [1e3 * found.latency.value for _, points in series for _, found in points if found.is_possible]
    low, high = min(times_ms) / 1.5, max(times_ms) * 1.5
    across = drawing.logarithmic(RATES_BIT_S[0], RATES_BIT_S[-1], _LEFT, WIDTH - _RIGHT)
    down = drawing.logarithmic(low, high, _BOTTOM, _TOP)
    round_trip = value("round_trip_s", setting.link.round_trip_s)
    page = Drawing(WIDTH, HEIGHT, description=f"Predicted latency of {name} over the rate of the link, round trip {round_trip}")
    page.rectangle((0, 0), (WIDTH, HEIGHT), style="page")
    page.text((_LEFT, 24), f"{name}: predicted latency, round trip {round_trip}", style="label")
    _axes(page, across, down, low, high)
    for one in links:
        if rate := one.setting.link.mean_rate_bit_s:
            page.line((across(rate), _TOP), (across(rate), _BOTTOM), style="here")
    _curves(page, series, across, down)
    return page.document(STYLE + _MORE_STYLE)


def _shown(one: OverLink) -> list[Candidate]:
    """The device alone, every point, the quickest pictures and the quickest cut without a bottleneck."""
    quickest = sorted(one.forecasts, key=lambda found: found.latency.value)
    pictures = [found for found in quickest if found.candidate.placement == "offload" and found in one.front]
    cuts = [found for found in quickest if not found.candidate.is_there]
    rest = [found for found in one.forecasts if found.candidate.placement != "offload" and found.candidate.is_there]
    return [found.candidate for found in (*rest, *pictures[:_PICTURES_MAX], *cuts[:_CUTS_MAX])]


def _at(candidate: Candidate, setting: Setting, rate_bit_s: float) -> Forecast:
    return forecast(candidate, replace(setting, link=replace(setting.link, rate_bit_s=rate_bit_s)))


def _axes(page: Drawing, across: Scale, down: Scale, low: float, high: float) -> None:
    for milliseconds in drawing.logarithmic_ticks(low, high):
        page.line((_LEFT, down(milliseconds)), (WIDTH - _RIGHT, down(milliseconds)), style="grid")
        page.text((_LEFT - 8, down(milliseconds) + 4), f"{milliseconds:g} ms", anchor="end", style="soft")
    for rate in drawing.logarithmic_ticks(RATES_BIT_S[0], RATES_BIT_S[-1]):
        page.line((across(rate), _TOP), (across(rate), _BOTTOM), style="grid")
        page.text((across(rate), _BOTTOM + 18), value("rate_bit_s", rate).replace("bit/s", ""), anchor="middle", style="soft")
    page.line((_LEFT, _BOTTOM), (WIDTH - _RIGHT, _BOTTOM), style="axis")
    page.text(
        ((_LEFT + WIDTH - _RIGHT) / 2, _BOTTOM + 42), "rate of the link, bit/s (logarithmic)", anchor="middle", style="soft"
    )


def _curves(page: Drawing, series: Sequence[_Curve], across: Scale, down: Scale) -> None:
    ends: list[tuple[float, Candidate, str, str]] = []
    for candidate, points in series:
        colour, dash = _look(candidate, [one for one, _ in series])
        places = [(across(rate), down(1e3 * found.latency.value)) for rate, found in points if found.is_possible]
        if places:
            line = "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
            page.path(f"M{line}", stroke=colour, dash=dash, style="curve", tip=candidate.name)
            ends.append((places[-1][1], candidate, colour, dash))
    at = float(_TOP - _LABEL_PX)
    for y, candidate, colour, dash in sorted(ends, key=lambda end: end[0]):
        # Where curves meet, names stand below one another.
        at = max(y, at + _LABEL_PX)
        page.line((WIDTH - _RIGHT + 2, y), (WIDTH - _RIGHT + 14, at), style="grid")
        page.path(f"M{WIDTH - _RIGHT + 16:.1f} {at:.1f}h20", stroke=colour, dash=dash, style="curve")
        page.text((WIDTH - _RIGHT + 42, at + 4), candidate.name)


def _look(candidate: Candidate, everything: Sequence[Candidate]) -> tuple[str, str]:
    """Colour of the placement, dash of its setting."""
    if not candidate.is_there:
        return PURPLE, "1 3"
    same = [one for one in everything if one.placement == candidate.placement]
    return _COLOURS[candidate.placement], _DASHES[same.index(candidate) % len(_DASHES)]
