"""What was promised of the headline, and what was found. What has not been measured is neither met nor missed."""

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.headline.bjontegaard import bytes_at
from benchmarks.headline.gathering import Found, Result
from benchmarks.headline.plan import RELEASED_BYTES_MAX

EQUAL_TIME = 1.1
"""A local network that takes up to so much of the split's device time is one of equal time."""
NOT_YET = "not measured yet"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One promise.

    Attributes:
        what: it is.
        wanted, measured: in words.
        met: None where it has not been measured.
    """

    what: str
    wanted: str
    measured: str = NOT_YET
    met: bool | None = None

    def row(self) -> tuple[str, ...]:
        """For a table."""
        return self.what, self.wanted, self.measured, {None: "-", True: "yes", False: "**no**"}[self.met]


def targets(found: Found) -> list[Target]:
    """All of them."""
    point = found.released
    return [
        _bytes(point),
        *_accuracy(point),
        _local(found, point),
        *(_pictures(found, point, codec, is_bare=is_bare) for codec in ("webp", "avif") for is_bare in (False, True)),
        _head(found, point),
    ]


def _bytes(point: Result | None) -> Target:
    what, wanted = "released point: bytes of a photo, mean", f"<= {RELEASED_BYTES_MAX}"
    if point is None:
        return Target(what=what, wanted=wanted)
    return Target(
        what=what, wanted=wanted, measured=f"{point.bytes_mean:.0f} ({point.setting})", met=point.bytes_mean <= RELEASED_BYTES_MAX
    )


def _accuracy(point: Result | None) -> list[Target]:
    rows = [("the same: points behind the teacher", 1.0), ("the same: upper 95% bound of that", 1.5)]
    if point is None:
        return [Target(what=what, wanted=f"<= {limit}") for what, limit in rows]
    values = [100 * point.behind.value, 100 * point.behind.upper]
    return [
        Target(what=what, wanted=f"<= {limit}", measured=f"{value:.2f}", met=value <= limit)
        for (what, limit), value in zip(rows, values, strict=True)
    ]


def rivals_of_equal_time(found: Found, point: Result) -> list[Result]:
    """Local networks that take no longer than a point does on the device, and the teacher if it does not."""
    spent = found.device_ms(point)
    if spent is None:
        return []
    rivals = [*found.family("local"), *found.family("teacher")]
    times = [found.device_ms(rival) for rival in rivals]
    return [rival for rival, time in zip(rivals, times, strict=True) if time is not None and time <= EQUAL_TIME * spent]


def _local(found: Found, point: Result | None) -> Target:
    what, wanted = "points above every local network of equal device time", ">= 3"
    rivals = [] if point is None else rivals_of_equal_time(found, point)
    ahead = [(above, rival) for rival in rivals if point is not None and (above := point.above(rival)) is not None]
    if not ahead:
        return Target(what=what, wanted=wanted)
    least, rival = min(ahead, key=lambda pair: pair[0].value)
    told = f"{100 * least.value:.1f} ({100 * least.low:.1f} to {100 * least.high:.1f}) above {rival.setting} {rival.variant}"
    return Target(what=what, wanted=wanted, measured=told, met=least.value >= 0.03)


def curve(results: Sequence[Result], *, is_bare: bool = False) -> list[tuple[float, float]]:
    """(bytes, top-1) of contenders."""
    return [(one.bare_mean if is_bare else one.bytes_mean, one.accuracy.value) for one in results]


def _pictures(found: Found, point: Result | None, codec: str, *, is_bare: bool) -> Target:
    bare = ", its container not counted" if is_bare else ""
    what, wanted = f"bytes of {codec} at the same top-1, network adapted{bare}, over the point's", ">= 4"
    rivals = found.family(codec, "adapted")
    common = set.intersection(*(set(one.folds) for one in [*rivals, point] if one is not None)) if rivals and point else set()
    if point is None or not common:
        return Target(what=what, wanted=wanted)
    here = point.on(sorted(common))
    points = curve([one.on(sorted(common)) for one in rivals], is_bare=is_bare)
    size = bytes_at(points, here.accuracy.value)
    if size is None:
        most = max(size for size, _ in points)
        ratio = most / here.bytes_mean
        told = f"not reached by any setting, up to {most:.0f} bytes ({ratio:.1f})"
        return Target(what=what, wanted=wanted, measured=told, met=ratio >= 4 or None)
    ratio = size / here.bytes_mean
    if size == min(size for size, _ in points):
        # Nothing smaller has been measured; it might do as well.
        return Target(
            what=what, wanted=wanted, measured=f"at most {ratio:.1f} ({size:.0f} bytes)", met=False if ratio < 4 else None
        )
    return Target(what=what, wanted=wanted, measured=f"{ratio:.1f} ({size:.0f} bytes)", met=ratio >= 4)


def _head(found: Found, point: Result | None) -> Target:
    what, wanted = "head's time over that of the int8 MobileNetV2", "<= 0.2"
    whole = found.times.get("teacher whole int8")
    head = None if point is None else found.times.get(f"{point.key} head")
    if whole is None or head is None:
        return Target(what=what, wanted=wanted)
    ratio = head.median / whole.median
    told = f"{ratio:.2f} ({head.median:.2f} of {whole.median:.2f} ms)"
    return Target(what=what, wanted=wanted, measured=told, met=ratio <= 0.2)
