"""BottleFit's table, theirs beside ours.

Matsubara, Callegaro, Singh, Levorato and Restuccia 2022, "BottleFit: Learning Compressed Representations in Deep Neural
Networks for Effective and Efficient Split Computing" (WoWMoM; arXiv 2201.02693). Their figures are those of its abstract.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.markdown import table
from benchmarks.papers.answered import ADAPTED_EPOCHS, Answered, equal, stand_ins
from benchmarks.papers.slow_page import energy_mj, gains

Row = Mapping[str, Any]
OPENING = """## BottleFit

Matsubara and others 2022, *BottleFit* (WoWMoM, arXiv 2201.02693). *Theirs* is what its abstract says, "up to" included; the
figures of single networks, sizes and links are in plots and tables of the paper that are **not at hand**."""
DIFFERS = """What differs: theirs are ResNet-152, DenseNet-169 and DenseNet-201 on ImageNet, codes of 8 bits that training
does not see, on a Jetson Nano and a Raspberry Pi whose power was measured. Ours is MobileNetV2 on clothing10 (10 classes, the
341 photos that the collection keeps for validation) for accuracy and bytes, codes of 4 bits with the quantiser in the
training loop and entropy coding behind it, and ResNet-50 of random weights behind the same head for times, on an emulated
device over shaped links of one machine; energy is modelled and has no radio. *Best picture*: the quickest of those that are
right as often as the split."""
ACCURACY = """### Accuracy against bytes

MobileNetV2 at 224 pixels on clothing10, top-1 on {photos} photos with Wilson's intervals (95%). *plain*: the picture goes
into the unsplit network; *adapted*: into one that was trained {epochs:g} epochs more on pictures of that codec, of all sizes
below. Bold: what stands for pictures on the emulated device. All of these are right as often as the split; into an adapted
network it is every one to which none is smaller both in bytes and in side, on which the encoder's time hangs, into the plain
one the smallest. Equal is by the count of right answers: on so few photos the intervals of neighbours overlap."""


def section(found: Mapping[str, Any]) -> str:
    """The table out of what the part `slow` measured."""
    answered = [Answered(**row) for row in found["answered"]]
    rows = [row for row in found["rows"] if row["network"] == "ResNet-50"]
    parts = [OPENING, _table(answered, rows, found["sizes"]), DIFFERS, _sizes(found["sizes"])]
    if answered:
        parts.append(ACCURACY.format(photos=answered[0].photos, epochs=ADAPTED_EPOCHS) + "\n\n" + _accuracy(answered))
    return "\n\n".join(parts)


def _table(answered: Sequence[Answered], rows: Sequence[Row], sizes: Sequence[Row]) -> str:
    columns = ["what", "theirs", "ours"]
    return table(columns, [*_of_bytes(answered), *_of_times(rows), *_of_heads(sizes)], str)


def _of_bytes(answered: Sequence[Answered]) -> list[list[str]]:
    if not answered:
        return [["data less, accuracy lost", "77.1%, up to 0.6 points", "not measured"]]
    split, unsplit = (next(one for one in answered if one.name == name) for name in ("split", "unsplit"))
    lost = 100 * (unsplit.right - split.right) / split.photos
    told = [f"{1 - split.bytes_mean / one.bytes_mean:.1%} less than {one.name} ({one.network})" for one in _smallest(answered)]
    less = ", ".join(told) or "no picture is as good"
    ours = f"{less} as good; {split.bytes_mean:.0f} B, {lost:.1f} points"
    return [["data less, accuracy lost", "77.1%, up to 0.6 points", ours]]


def _smallest(answered: Sequence[Answered]) -> list[Answered]:
    """Of JPEGs into the plain network, and of all pictures into adapted ones."""
    adapted = sorted(equal(answered, "webp", "adapted") + equal(answered, "jpeg", "adapted"), key=lambda one: one.bytes_mean)
    return equal(answered, "jpeg", "plain")[:1] + adapted[:1]


def _of_times(rows: Sequence[Row]) -> list[list[str]]:
    if not rows:
        return [["latency below local, below offloading", "up to 89%, up to 55%", "not measured"]]
    found = gains(rows)
    most = {name: max(found, key=lambda one: one[name]) for name in ("over_local", "over_picture")}
    told = [f"up to {one[name]:.0%} ({one['link']})" for name, one in most.items()]
    least = {other: max(1 - energy_mj(one["split"]) / energy_mj(one[other]) for one in found) for other in ("alone", "picture")}
    return [
        [
            "latency below local, below offloading",
            "up to 89%, up to 55%",
            f"{told[0]}, {told[1]} below the best picture; emulated",
        ],
        ["power (theirs) or energy above idle (ours) below local, below offloading", "up to 49%, up to 37%", _energies(least)],
    ]


def _energies(least: Mapping[str, float]) -> str:
    return f"up to {least['alone']:.0%}, up to {least['picture']:.0%} (negative: more); modelled, without radio"


def _of_heads(sizes: Sequence[Row]) -> list[list[str]]:
    told = [f"{one['whole_parameters'] / one['head_parameters']:.0f} times ({one['network']})" for one in sizes]
    return [["head smaller than the network", "83 times", ", ".join(told)]]


def _sizes(sizes: Sequence[Row]) -> str:
    columns = ["network", "head in floats", "head in int8", "whole network", "share of its bytes", "of its multiplications"]
    cells = []
    for one in sizes:
        files = one["files"]
        small = files.get("head.int8.onnx")
        share = f"{files['head.onnx'] / files['whole.onnx']:.2%}"
        work = f"{one['head_flops'] / one['whole_flops']:.2%}"
        held = [_kb(files["head.onnx"]), "not exported" if small is None else _kb(small), _kb(files["whole.onnx"])]
        cells.append([one["network"], *held, share, work])
    return "Files of head and network:\n\n" + table(columns, cells, str)


def _kb(size: int) -> str:
    return f"{size / 1e3:,.0f} kB"


def _accuracy(answered: Sequence[Answered]) -> str:
    pictures = [one for one in answered if one.network]
    chosen = stand_ins(answered)
    cells = [[one.name, one.setting, f"{one.bytes_mean:.0f}" if one.bytes_mean else "-", _top1(one), "-"] for one in answered[:2]]
    for one in sorted((one for one in pictures if one.network == "plain"), key=lambda one: (one.name, one.bytes_mean)):
        other = next((two for two in pictures if (two.name, two.setting) == (one.name, one.setting) and two is not one), None)
        cells.append(
            [
                one.name,
                one.setting,
                f"{one.bytes_mean:.0f}",
                _marked(one, chosen),
                "-" if other is None else _marked(other, chosen),
            ]
        )
    return table(["sent", "setting", "bytes", "top-1, plain", "top-1, adapted"], cells, str)


def _marked(one: Answered, chosen: Sequence[Answered]) -> str:
    return f"**{_top1(one)}**" if one in chosen else _top1(one)


def _top1(one: Answered) -> str:
    found = one.top1
    return f"{100 * found.value:.1f} ({100 * found.low:.1f} to {100 * found.high:.1f})"
