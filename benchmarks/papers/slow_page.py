"""The emulated device on the page: what was emulated, the target, latencies with their parts, plans."""

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.markdown import table
from benchmarks.papers import pi4, slow_core
from benchmarks.papers.answered import Answered
from benchmarks.server.plots import Bar, bars

from isthmus.devices import link as links
from isthmus.devices.energy.model import modelled
from isthmus.devices.profiles import catalog

Row = Mapping[str, Any]
PLOT = "papers-latency.svg"
TARGET_LINKS_BIT_S = (250e3, 1e6)
LOCAL_GAIN, PICTURE_GAIN = 0.8, 0.3
"""Targets: the split's p50 below the device alone, and below the best picture on at least one link."""
DEVICE_STAGES = ("prepare", "head", "encode")

EMULATED = """## An emulated Raspberry Pi 4

**Emulated**: one core of this machine, of which a real-time process leaves the device {share:.1%} of every {period:g} ms
(`benchmarks/papers/slow_core.py` says why this is no quota). That share was found so that {network} in floats, on one thread
of onnxruntime, takes the {wanted_ms:.0f} ms that it takes on one core of a Raspberry Pi 4 (1.8 GHz) in the figures of ncnn's
authors: it took {slow_ms:.0f} ms, and {quick_ms:.0f} ms on the core as it is. {check}Python, the codec and the encoders of
pictures are slowed by the same share, which is not what a Cortex-A72 does to each of them. Server and link shaper are on
other cores and are not slowed. One frame at a time, in steps of those {period:g} ms; placements take turns frame by frame,
{frames} frames each, {photos}.{whose}"""

CHECK = "{name} took {found:.0f} ms under the same share, published {published:.0f}. "
HEAD = """ Weights of ResNet-50 are random behind the head of the split that was trained for MobileNetV2 on clothing10: its
bytes are those of real codes, and what pictures must be worth is asked of that MobileNetV2, see *accuracy against bytes*.
Both networks have ten classes: the logits of a thousand are 4 kB that come back with every answer, 128 ms at 250 kbit/s, to
everyone who asks a server."""
DRAWN = " The head's weights are drawn: its bytes are not those of a trained one, and pictures are not of equal accuracy."
TARGET = "## The target: ResNet-50 over slow links"
GAINS = ("link", "device alone", "best picture", "split", "below alone", "below picture", "with a server that takes no time")
GAINS_TOLD = (
    "p50 in ms with its 95% interval. *With a server that takes no time*: below the picture, the server's time taken off both."
)
PARTS = """Medians in ms: *device* prepares, runs its network and encodes. *Modelled*: energy above idle for what the device
computes, by the power model of profile `rpi4`, one core of four; the radio is not in it, and nothing of it was measured."""
PLANS = """What `isthmus plan --device rpi4` says, by `--accuracy-drop`, from costs that `isthmus bench --profile` measured on
this machine as it is; its times of a Raspberry Pi 4 are predictions, those in the table above come from the emulation. The
plan was given no figures of small pictures (`--evaluation`) and takes large ones; what is beside it knows those of the next
table:"""


def section(found: Mapping[str, Any]) -> str:
    """All of it; of what is not there, why."""
    rows = found["rows"]
    if not rows:
        return ""
    parts = [_emulated(found), _target(rows)]
    for name in _networks(rows):
        own = [row for row in rows if row["network"] == name]
        parts.append(f"### {name}\n\n" + _latencies(own) + _plans(found, own, name))
    return "\n\n".join(part for part in parts if part)


def _networks(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(row["network"] for row in rows))


def _emulated(found: Mapping[str, Any]) -> str:
    calibration, rows = found["calibration"], found["rows"]
    alone = {row["network"]: row["stages_ms"]["head"] for row in rows if row["placement"] == "local"}
    checks = [
        CHECK.format(name=name, found=spent, published=pi4.PUBLISHED_MS[name])
        for name, spent in alone.items()
        if name != calibration["network"]
    ]
    whose = HEAD if found["answered"] else DRAWN
    return EMULATED.format(
        **calibration,
        period=1e3 * slow_core.PERIOD_S,
        check="".join(checks),
        frames=rows[0]["frames"],
        photos=found["photos"],
        whose=whose,
    )


def device_ms(row: Row) -> float:
    """What the device computes."""
    return float(sum(row["stages_ms"].get(stage, 0.0) for stage in DEVICE_STAGES))


def server_ms(row: Row) -> float:
    """What the server takes."""
    return float(sum(spent for stage, spent in row["stages_ms"].items() if stage.startswith("server")))


def sending_ms(row: Row) -> float:
    """What is neither: link, and the programs that send and wait."""
    return float(row["p50_ms"]) - device_ms(row) - server_ms(row)


def energy_mj(row: Row) -> float:
    """Modelled, above idle: what the device computes, on one core of four; the radio is not in it."""
    profile = catalog.load("rpi4")
    assert profile.cores is not None
    spent_s = device_ms(row) / 1e3
    found = modelled(profile, duration_s=max(spent_s, 1e-9), cpu_s=spent_s, cores=profile.cores.count)
    assert found is not None
    return 1e3 * float(found.above_idle_j or 0.0)


def best_picture(rows: Sequence[Row], link: str) -> Row:
    """The quickest picture over a link."""
    return min((row for row in rows if row["placement"] == "offload" and row["link"] == link), key=lambda row: row["p50_ms"])


def gains(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Of one network, for each link: by what part the split's p50 is below the device alone and below the best picture."""
    (alone,) = (row for row in rows if row["placement"] == "local")
    found = []
    for row in (row for row in rows if row["placement"] == "split"):
        picture = best_picture(rows, row["link"])
        ideal = 1 - (row["p50_ms"] - server_ms(row)) / (picture["p50_ms"] - server_ms(picture))
        found.append(
            {
                "link": row["link"],
                "split": row,
                "picture": picture,
                "alone": alone,
                "over_local": 1 - row["p50_ms"] / alone["p50_ms"],
                "over_picture": 1 - row["p50_ms"] / picture["p50_ms"],
                "without_server": ideal,
            }
        )
    return found


def _target(rows: Sequence[Row]) -> str:
    own = [row for row in rows if row["network"] == "ResNet-50"]
    if not own:
        return ""
    found = gains(own)
    judged = [
        one for one in found if TARGET_LINKS_BIT_S[0] <= (links.parse(one["link"]).rate_bit_s or 0) <= TARGET_LINKS_BIT_S[1]
    ]
    if not judged:
        return ""
    over_local, over_picture = min(one["over_local"] for one in judged), max(one["over_picture"] for one in judged)
    below_alone = "split below the device alone, on every link of 0.25 to 1 Mbit/s"
    cells = [
        [below_alone, ">= 80%", f"{over_local:.0%}", _met(over_local >= LOCAL_GAIN)],
        ["split below the best picture, on one of them", ">= 30%", f"{over_picture:.0%}", _met(over_picture >= PICTURE_GAIN)],
    ]
    why = "" if over_picture >= PICTURE_GAIN else "\n\n" + _why(max(judged, key=lambda one: one["over_picture"]))
    judged_table = table(["p50", "target", "measured", "met"], cells, str)
    return f"{TARGET}\n\n{judged_table}\n\n{table(GAINS, map(_gain, found), str)}\n\n{GAINS_TOLD}{why}"


def _gain(one: Mapping[str, Any]) -> list[str]:
    picture = f"{_ms(one['picture'])}, {one['picture']['setting']}"
    below = [f"{one[name]:.0%}" for name in ("over_local", "over_picture", "without_server")]
    return [one["link"], _ms(one["alone"]), picture, _ms(one["split"]), *below]


def _why(one: Mapping[str, Any]) -> str:
    """Why the split is no further below the picture, on its best link."""
    split, picture = one["split"], one["picture"]
    least = 1 - (split["p50_ms"] - device_ms(split)) / picture["p50_ms"]
    return (
        f"Why not more, over {one['link']}: of the split's {split['p50_ms']:.0f} ms the device computes {device_ms(split):.0f}, "
        f"the server {server_ms(split):.0f}, and {sending_ms(split):.0f} are the link and what sends; of the picture's "
        f"{picture['p50_ms']:.0f} these are {device_ms(picture):.0f}, {server_ms(picture):.0f} and {sending_ms(picture):.0f}. A "
        f"split of the same bytes whose device part took no time at all would be {least:.0%} below that picture."
    )


def _met(met: bool) -> str:
    return "yes" if met else "**no**"


def _ms(row: Row) -> str:
    return f"{row['p50_ms']:.0f} ({row['low_ms']:.0f} to {row['high_ms']:.0f})"


def _latencies(rows: Sequence[Row]) -> str:
    columns = ["link", "placement", "payload B", "p50 ms (95%)", "device", "link and sending", "server", "modelled mJ"]
    told = f"\n\n{PARTS}"
    if failed := sum(row["failures"] for row in rows):
        told += f" {failed} frames were not answered."
    return table(columns, map(_latency, rows), str) + told


def _latency(row: Row) -> list[str]:
    remote = row["placement"] != "local"
    rest = [f"{sending_ms(row):.0f}", f"{server_ms(row):.0f}"] if remote else ["-", "-"]
    energy = f"{energy_mj(row):.0f}"
    return [row["link"] or "none", _name(row), f"{row['bytes']:.0f}", _ms(row), f"{device_ms(row):.0f}", *rest, energy]


def _plans(found: Mapping[str, Any], rows: Sequence[Row], name: str) -> str:
    own = [plan for plan in found["plans"] if plan["network"] == name]
    if not own:
        return ""
    answered = [Answered(**row) for row in found["answered"]]
    cells = []
    for plan in own:
        fit = [row for row in rows if row["link"] in ("", plan["link"]) and lost(row, answered) <= float(plan["drop"][:-1]) / 100]
        quickest = min(fit, key=lambda row: row["p50_ms"])
        cells.append([plan["link"], plan["drop"], f"{plan['placement']} {plan['setting']}", f"{_name(quickest)} {_ms(quickest)}"])
    return f"\n\n{PLANS}\n\n" + table(["link", "may be lost", "plan", "quickest that was measured and loses no more"], cells, str)


def lost(row: Row, answered: Sequence[Answered]) -> float:
    """Share of the photos by which an answer is worse than the unsplit network's."""
    unsplit = next(one for one in answered if one.name == "unsplit")
    if row["placement"] == "local":
        return 0.0
    told = {f"{one.name} {one.setting}, {one.network}" if one.network else one.name: one for one in answered}
    return (unsplit.right - told[row["setting"]].right) / unsplit.photos


def _name(row: Row) -> str:
    return {"local": "device alone", "split": "split"}.get(row["placement"], str(row["setting"]))


def plot(rows: Sequence[Row]) -> str:
    """Bars of p50, a group for each network and link."""
    groups = []
    for name in _networks(rows):
        own = [row for row in rows if row["network"] == name]
        for link in dict.fromkeys(row["link"] for row in own if row["link"]):
            shown = [row for row in own if row["link"] in ("", link)]
            groups.append((f"{name}, {link}", [_bar(row) for row in shown]))
    return bars("An emulated Raspberry Pi 4", "median latency in ms; what the device takes alone, pictures, the split", groups)


def _bar(row: Row) -> Bar:
    kind = {"local": 2, "split": 1}.get(row["placement"], 0)
    return Bar(_name(row), row["p50_ms"], f"{row['p50_ms']:.0f} ms, {row['bytes']:.0f} B", kind)
