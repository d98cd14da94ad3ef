"""The three plots of the page and the one of the README, out of what was found."""

from collections.abc import Sequence

from benchmarks.headline.codecs import CODECS
from benchmarks.headline.gathering import RECIPES, Found, Result
from benchmarks.headline.plots import Dot, Panel, Series, draw, marked

from isthmus.bench.look import BLUE, GREEN, GREY, ORANGE, PURPLE, RED

_OF_CODEC = {"webp": (ORANGE, 1), "avif": (PURPLE, 2), "jpeg": (GREY, 3)}
_OF_RECIPE = {"isthmus": (BLUE, 0), "bottlefit": (ORANGE, 1), "entropic": (PURPLE, 2), "ghnd": (GREEN, 3), "hnd": (RED, 1)}
_CALLED = {"webp": "WebP", "avif": "AVIF", "jpeg": "JPEG"}


def headline(found: Found) -> str:
    """Both axes of the headline beside each other, for the README."""
    panels = [bytes_panel(found, plain=False), time_panel(found)]
    return draw(panels, description="Top-1 on clothing10 against bytes for a photo and against device time.", width=1080)


def by_bytes(found: Found) -> str:
    """Top-1 against bytes, pictures into the plain and into adapted networks."""
    return draw([bytes_panel(found, plain=True)], description="Top-1 against bytes for a photo.")


def by_time(found: Found) -> str:
    """Top-1 against device time."""
    return draw([time_panel(found)], description="Top-1 against milliseconds on the device.")


def by_recipe(found: Found) -> str:
    """Top-1 against bytes of all recipes."""
    series = []
    for recipe in RECIPES:
        colour, marker = _OF_RECIPE[recipe]
        dots = [_dot(one, one.bytes_mean) for one in found.family(recipe)]
        series.append(Series(name=recipe, dots=marked(dots), colour=colour, marker=marker, strong=recipe == "isthmus"))
    panel = Panel(
        title="The recipes", axis="bytes of a photo, codec and all", series=series[::-1], lines=_teacher(found), span=0.3
    )
    return draw([panel], description="Top-1 against bytes for a photo, by recipe.")


def bytes_panel(found: Found, *, plain: bool) -> Panel:
    """Top-1 against bytes."""
    series = []
    for codec in CODECS[::-1]:
        colour, marker = _OF_CODEC[codec]
        for variant, dash in (("plain", "2 3"), ("adapted", "")) if plain else (("adapted", ""),):
            dots = marked([_dot(one, one.bytes_mean) for one in found.family(codec, variant)])
            name = _CALLED[codec] if not plain else f"{_CALLED[codec]}, {variant} network"
            series.append(Series(name=name, dots=dots, colour=colour, marker=marker, dash=dash))
    points = marked([_dot(one, one.bytes_mean, with_interval=True) for one in found.family("isthmus")])
    series.append(Series(name="Isthmus, split", dots=points, colour=BLUE, marker=0, strong=True))
    title = "Top-1 against bytes" if plain else "Top-1 against bytes (pictures into adapted networks)"
    return Panel(title=title, axis="bytes of a photo", series=series, lines=_teacher(found))


def time_panel(found: Found) -> Panel:
    """Top-1 against device time."""
    series = []
    for variant, colour, marker in (("float", GREY, 3), ("int8", GREEN, 1)):
        rivals = [*found.family("local", variant), *found.family("teacher", variant)]
        series.append(Series(name=f"{variant}, on the device alone", dots=_timed(found, rivals), colour=colour, marker=marker))
    points = _timed(found, found.family("isthmus"), with_interval=True)
    series.append(Series(name="Isthmus, head and codec", dots=points, colour=BLUE, marker=0, strong=True))
    return Panel(title="Top-1 against device time", axis="ms on the device, one thread", series=series, lines=_teacher(found))


def _teacher(found: Found) -> list[tuple[str, float]]:
    return [] if found.teacher is None else [("unsplit network", found.teacher.accuracy.value)]


def _timed(found: Found, results: Sequence[Result], *, with_interval: bool = False) -> list[Dot]:
    timed = [(one, found.device_ms(one)) for one in results]
    return marked([_dot(one, spent, with_interval=with_interval) for one, spent in timed if spent is not None])


def _dot(result: Result, x: float, *, with_interval: bool = False) -> Dot:
    found = result.accuracy
    tip = f"{result.family} {result.setting} {result.variant}: {found.value:.1%}, {x:.4g}"
    limits = (found.low, found.high) if with_interval else (None, None)
    return Dot(x=x, y=found.value, tip=tip, low=limits[0], high=limits[1])
