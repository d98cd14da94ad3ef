"""How series are told apart: by colour, marker and dash together, so that no reader needs the colour."""

from collections.abc import Sequence
from dataclasses import dataclass

from isthmus.bench.content import Outcome

# Okabe and Ito's palette ("Color Universal Design", 2008), darkened where it is too light on white; also readable on black.
GREEN, BLUE, ORANGE, PURPLE, RED, SKY, GREY = "#12876a", "#2277c9", "#d08300", "#b0659a", "#cc5a10", "#3c9fd0", "#7f868d"
_OF_PLACEMENT = {"local": GREEN, "split": BLUE, "offload": ORANGE}
_OTHERS = (PURPLE, SKY, RED, GREY)
_DASHES = ("", "7 4", "2 3", "9 3 2 3")

STAGE_COLOURS = {
    "gate": GREY,
    "wait": "#b9c0c6",
    "prepare": SKY,
    "head": BLUE,
    "encode": "#7d6bc4",
    "network": ORANGE,
    "server queue": "#a8854a",
    "server decode": PURPLE,
    "server compute": GREEN,
    "server post": "#68a02b",
}
"""Device blue, wire orange, server green; a stage without a place here takes a colour that is left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """How one series is drawn: colour, number of its marker, dash of its line."""

    colour: str
    marker: int
    dash: str


def looks(outcomes: Sequence[Outcome]) -> list[Look]:
    """One look for each outcome; colour and marker tell placement and setting, the dash tells the link."""
    labels = list(dict.fromkeys(outcome.row.label for outcome in outcomes))
    links = list(dict.fromkeys(outcome.row.link for outcome in outcomes if outcome.row.link))
    free = list(_OTHERS)
    colours: dict[str, str] = {}
    for outcome in outcomes:
        if outcome.row.label not in colours:
            wanted = _OF_PLACEMENT.get(outcome.row.placement)
            colours[outcome.row.label] = wanted if wanted and wanted not in colours.values() else free[0]
            free = free if colours[outcome.row.label] == wanted else [*free[1:], free[0]]
    return [
        Look(
            colour=colours[outcome.row.label],
            marker=labels.index(outcome.row.label),
            dash=_DASHES[links.index(outcome.row.link) % len(_DASHES)] if outcome.row.link and len(links) > 1 else "",
        )
        for outcome in outcomes
    ]


def names(outcomes: Sequence[Outcome]) -> list[str]:
    """A name for each outcome; the link is part of it where there are several."""
    several = len({outcome.row.link for outcome in outcomes if outcome.row.link}) > 1
    return [
        f"{outcome.row.label} over {outcome.row.link}" if several and outcome.row.link else outcome.row.label
        for outcome in outcomes
    ]


def stage_colours(stages: Sequence[str]) -> dict[str, str]:
    """A colour for each stage."""
    free = [colour for colour in (RED, SKY, PURPLE, GREY) if colour not in {STAGE_COLOURS.get(stage) for stage in stages}]
    strange = [stage for stage in stages if stage not in STAGE_COLOURS]
    return {stage: STAGE_COLOURS.get(stage) or (free or [GREY])[strange.index(stage) % max(1, len(free))] for stage in stages}
