"""What a plan comes to, in words. It may be to split nothing, or to send the picture."""

from collections.abc import Sequence

from isthmus.bench import words
from isthmus.bench.planning.candidate import ASSUMED
from isthmus.bench.planning.forecast import Forecast
from isthmus.bench.planning.sensitivity import Range
from isthmus.contract.metric import Metric
from isthmus.devices.link import LinkProfile

CLOSE = 0.1
"""Latencies that differ by less cannot be told apart by a plan: so far off it may be itself."""


def verdict(link: LinkProfile, good: Sequence[Forecast], *, wanted: float, unsplit: Metric) -> str:
    """What to do on one link, and why.

    Args:
        link: the link.
        good: forecasts of what the bundle can do at the wanted accuracy, and the link can carry.
        wanted: accuracy.
        unsplit: of the network as it is.
    """
    if not good:
        return (
            f"Over {link}: nothing reaches {wanted:.1%} {unsplit.name} (the unsplit network has {unsplit.value:.1%}) in this "
            "bundle; allow a larger --accuracy-drop, or export with more channels."
        )
    ordered = sorted(good, key=lambda one: one.latency.value)
    best, *others = ordered
    said = [f"Over {link}: {_advice(best)}, {_figures(best)}."]
    said += [_rival(best, rival) for rival in _first_of_each(others, best.candidate.placement)]
    if doubt := _doubt(best, others):
        said.append(doubt)
    return " ".join(said)


def ranges(found: Sequence[Range]) -> list[str]:
    """Where the choice changes, a sentence for each quantity in which it does."""
    said = []
    for quantity, name in (("rate_bit_s", "By rate"), ("round_trip_s", "By round trip"), ("load", "By load of the server")):
        of_it = [one for one in found if one.quantity == quantity]
        if of_it:
            said.append(f"{name}: {', '.join(_range(one, of_it) for one in of_it)}.")
    return said


def _advice(best: Forecast) -> str:
    candidate = best.candidate
    if candidate.placement == "local":
        return f"run it locally ({candidate.setting}.onnx)"
    if candidate.placement == "offload":
        return f"send the picture ({candidate.setting})"
    return f"split at the point {candidate.setting}"


def _figures(one: Forecast) -> str:
    sent = f", {words.size(one.candidate.payload_bytes)} a frame" if one.candidate.sends else ", no bytes"
    metric = one.candidate.metric
    return f"{words.milliseconds(one.latency.value * 1e3)} ms at {metric.value:.1%} {metric.name}{sent}"


def _first_of_each(ordered: Sequence[Forecast], taken: str) -> list[Forecast]:
    """The quickest of each other placement."""
    found: dict[str, Forecast] = {}
    for one in ordered:
        found.setdefault(one.candidate.placement, one)
    return [one for placement, one in found.items() if placement != taken]


def _rival(best: Forecast, rival: Forecast) -> str:
    ratio = rival.latency.value / best.latency.value
    what = {"local": "The device alone", "offload": "The picture", "split": "The split"}[rival.candidate.placement]
    why = _why(best, rival)
    return f"{what} ({rival.candidate.setting}) takes {ratio:.1f} times as long, {_figures(rival)}{why}."


def _why(best: Forecast, rival: Forecast) -> str:
    """Where most of the difference lies, where there is one."""
    parts = {
        "the network": _of(rival, "network") - _of(best, "network"),
        "the device": rival.device_s - best.device_s,
        "the server": rival.server_s - best.server_s + _of(rival, "server queue") - _of(best, "server queue"),
    }
    most = max(parts, key=lambda part: parts[part])
    return f"; {words.milliseconds(parts[most] * 1e3)} ms more on {most}" if parts[most] > 0 else ""


def _of(one: Forecast, stage: str) -> float:
    return one.stages[stage].value if stage in one.stages else 0.0


def _doubt(best: Forecast, others: Sequence[Forecast]) -> str:
    """Who may be as quick, for all that a plan can tell."""
    close = [one for one in others if one.latency.value <= best.latency.value * (1 + CLOSE)]
    said = []
    if close:
        said.append(f"{_names(close)} within {CLOSE:.0%}: a plan cannot tell them apart, `isthmus bench` can.")
    rough = [one for one in _first_of_each(others, best.candidate.placement) if one not in close and _overlap(best, one)]
    if rough:
        said.append(f"The bounds of {_names(rough)} reach into those of the best: measure before you build on this.")
    if any(ASSUMED in one.marks for one in (best, *close)):
        said.append("What pictures are worth was not measured; `isthmus evaluate --json` does, --evaluation takes it.")
    return " ".join(said)


def _overlap(best: Forecast, other: Forecast) -> bool:
    return other.latency.low < best.latency.high


def _names(found: Sequence[Forecast]) -> str:
    return ", ".join(dict.fromkeys(one.candidate.name for one in found))


def _range(one: Range, everything: Sequence[Range]) -> str:
    name = "nothing" if one.best is None else one.best.name
    if len(everything) == 1:
        return f"{name} everywhere from {value(one.quantity, one.start)} to {value(one.quantity, one.end)}"
    if one is everything[0]:
        return f"{name} up to {value(one.quantity, one.end)}"
    if one is everything[-1]:
        return f"{name} from {value(one.quantity, one.start)} on"
    return f"{name} from {value(one.quantity, one.start)} to {value(one.quantity, one.end)}"


def value(quantity: str, amount: float) -> str:
    """An amount with its unit.

    >>> value("rate_bit_s", 1.26e6), value("rate_bit_s", 25e3), value("round_trip_s", 0.02), value("load", 0.5)
    ('1.3 Mbit/s', '25 kbit/s', '20 ms', '50%')
    """
    if quantity == "round_trip_s":
        return f"{amount * 1e3:.0f} ms"
    if quantity == "load":
        return f"{amount:.0%}"
    if amount < 1e6:
        return f"{amount / 1e3:.0f} kbit/s"
    return f"{amount / 1e6:.2g} Mbit/s" if amount < 99.5e6 else f"{amount / 1e6:.0f} Mbit/s"
