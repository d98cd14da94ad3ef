"""The controller, the fixed placements and the oracle over the recordings, as self-contained SVG."""

from collections.abc import Sequence

from benchmarks.controller.runs import CONTROLLER, Run

from isthmus.bench import drawing
from isthmus.bench.cut_chart import STYLE
from isthmus.bench.drawing import Drawing
from isthmus.bench.look import BLUE, GREY, ORANGE

WIDTH, HEIGHT = 860, 380
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 16, 78, 40
_DOT = 3.0


def scores(runs: Sequence[Run]) -> str:
    """One column a recording, by mean rate: grey the fixed placements, blue the controller, orange the oracle."""
    ordered = sorted(runs, key=lambda run: run.rate_mbit_s)
    lowest = min(result.score for run in runs for result in run.results.values())
    title = "Accuracy x answered in time"
    told = "one column a recording, the slowest left; grey: each fixed placement, blue: controller, orange: oracle"
    page = Drawing(WIDTH, HEIGHT, description=f"{title}: {told}.")
    up = drawing.linear(max(0.0, lowest - 0.02), 0.9, HEIGHT - _BOTTOM, _TOP)
    across = drawing.linear(0, len(ordered) - 1, _LEFT + 16, WIDTH - _RIGHT - 16)
    page.rectangle((0, 0), (WIDTH, HEIGHT), style="page")
    page.text((16, 24), title, style="label")
    page.text((16, 44), told, style="soft")
    for tenth in range(10):
        if lowest - 0.02 <= tenth / 10 <= 0.9:
            page.line((_LEFT, up(tenth / 10)), (WIDTH - _RIGHT, up(tenth / 10)), style="grid")
            page.text((_LEFT - 8, up(tenth / 10) + 4), f"{tenth / 10:.1f}", anchor="end", style="soft")
    for column, run in enumerate(ordered):
        x = across(column)
        for name, result in run.results.items():
            if name != CONTROLLER:
                page.path(drawing.marker(0, x, up(result.score), _DOT), fill=GREY)
        page.rectangle((x - 6, up(run.oracle) - 1), (12, 2), colour=ORANGE)
        page.path(drawing.marker(0, x, up(run.results[CONTROLLER].score), _DOT + 1), fill=BLUE)
        if column % 6 == 0:
            page.text((x, HEIGHT - _BOTTOM + 18), f"{run.rate_mbit_s:.1f}", anchor="middle", style="soft")
    page.text((WIDTH - _RIGHT, HEIGHT - 8), "mean rate in Mbit/s", anchor="end", style="soft")
    return page.document(STYLE)
