"""A chart with the entries of its legend."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from isthmus.bench import drawing
from isthmus.bench.look import Look

_LINE = '<path d="M0 7H30" class="curve" stroke="{}" stroke-dasharray="{}" fill="none"/><path d="{}" fill="{}"/>'
_SQUARE = '<svg viewBox="0 0 14 14" class="swatch" aria-hidden="true"><rect width="14" height="14" rx="2" fill="{}"/></svg>'


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One entry of a legend: a small drawing and its words."""

    swatch: Markup
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """A drawing with its legend."""

    svg: Markup
    keys: Sequence[Key] = ()


def line_key(look: Look, words: str) -> Key:
    """An entry for a line with its marker and dash."""
    shape = drawing.marker(look.marker, 15, 7, 4)
    inside = Markup(_LINE).format(look.colour, look.dash or "none", shape, look.colour)
    swatch = Markup('<svg viewBox="0 0 30 14" class="swatch wide-swatch" aria-hidden="true">{}</svg>').format(inside)
    return Key(swatch=swatch, words=words)


def square_key(colour: str, words: str) -> Key:
    """An entry for an area."""
    return Key(swatch=Markup(_SQUARE).format(colour), words=words)
