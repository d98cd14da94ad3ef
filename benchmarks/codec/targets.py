"""What the codec is meant to reach, beside what was measured."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.codec import lossy
from benchmarks.codec.bottlenecks import PLANS

CODES_MIN = 2000
"""Of a frame whose time is told for 10,000 codes: in smaller ones what a call costs weighs too much."""
NARROW = range(3, 13)
"""Channels that the targets for bytes of photos are for."""
SCORE_LEAST = 0.2
"""Of a split on a film; worse answers are worth no bytes at all."""
Entry = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Target:
    """One target: what, at most, and what was measured in every case by name."""

    what: str
    limit: float
    found: dict[str, float]
    digits: int = 2

    def row(self) -> tuple[object, ...]:
        """Cells for the page."""
        if not self.found:
            return self.what, self.limit, "-", "not measured"
        values = [f"{value:.{self.digits}f}" for value in (min(self.found.values()), max(self.found.values()))]
        missed = [name for name, value in self.found.items() if value > self.limit]
        held = len(self.found) - len(missed)
        met = "yes" if not missed else f"in {held} of {len(self.found)}; not: {', '.join(missed)}"
        return self.what, self.limit, " to ".join(dict.fromkeys(values)), met


def targets(entries: Sequence[Entry], pictures: dict[str, dict[str, list[dict[str, Any]]]]) -> list[Target]:
    """All of them.

    Args:
        entries: of the bottlenecks.
        pictures: H.265 of the films by network.
    """
    narrow = [one for one in entries if one["shape"][0] in NARROW]
    trained = [one for one in narrow if PLANS[one["name"]].how == "learned"]
    plain = [one for one in trained if not PLANS[one["name"]].rate_weight]
    cheap = [one for one in trained if PLANS[one["name"]].rate_weight]
    large = [one for one in entries if one["times"]["frame"]["codes"] >= CODES_MIN]
    return [
        Target("`intra` of zstd 19, plain 4-bit codes of 3 to 12 channels", 0.82, _of(plain, "zstd 19")),
        Target("the same, rate-trained", 0.70, _of(cheap, "zstd 19")),
        Target("`intra` of context mixing, offline", 1.12, _of(trained, "context mixing")),
        Target("the same, the mixer learned beforehand only", 1.12, _of(trained, "context mixing, learned beforehand")),
        Target("`temporal` of zstd 3 on differences, fixed camera", 0.55, _fixed(entries)),
        Target("H.265 of the picture at equal answers, fixed camera: `temporal` over it", 1.0, _h265(entries, pictures)),
        *(
            Target(
                f"`intra`, {way}: us for 10,000 codes (median)",
                150,
                {one["name"]: per_ten_thousand(one, way) for one in large},
                0,
            )
            for way in ("encode", "decode")
        ),
        Target("a call of the binding, us (median)", 5, _calls(entries), 1),
    ]


def per_ten_thousand(entry: Entry, way: str) -> float:
    """Median us of the coder in mode `intra` for 10,000 codes."""
    frame = entry["times"]["frame"]
    return float(frame["us"][f"intra {way}"]["median"]) * 10_000 / float(frame["codes"])


def equal_h265(entry: Entry, film: str, pictures: dict[str, dict[str, list[dict[str, Any]]]]) -> float | None:
    """Bytes of the cheapest H.265 whose answers are as good as the split's; None where that says nothing."""
    curve = pictures.get(PLANS[entry["name"]].network, {}).get(film, [])
    score = entry["facts"]["films"].get(film, 0.0)
    return lossy.cheapest(curve, score) if score > SCORE_LEAST else None


def _of(entries: Iterable[Entry], base: str) -> dict[str, float]:
    return {one["name"]: one["stills"]["isthmus intra"] / one["stills"][base] for one in entries if base in one["stills"]}


def _fixed(entries: Iterable[Entry]) -> dict[str, float]:
    return {
        f"{one['name']} on {film}": sizes["isthmus temporal"] / sizes["zstd 3 of differences"]
        for one in entries
        for film, sizes in one["films"].items()
        if film.endswith("fixed")
    }


def _h265(entries: Iterable[Entry], pictures: dict[str, dict[str, list[dict[str, Any]]]]) -> dict[str, float]:
    return {
        f"{one['name']} on {film}": sizes["isthmus temporal"] / equal
        for one in entries
        for film, sizes in one["films"].items()
        if film.endswith("fixed") and (equal := equal_h265(one, film, pictures))
    }


def _calls(entries: Iterable[Entry]) -> dict[str, float]:
    return {f"{one['name']}, {way}": one["times"]["binding"][way]["median"] for one in entries for way in ("encode", "decode")}
