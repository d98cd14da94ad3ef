"""The cut of least predicted latency, where it has been measured what the network takes on a device.

A cost table (`devices.cost.table`) of a bundle of the same network knows the time before and behind every cut. Between them go
the codes that the bottleneck would make there, over a link: as many bits as they have, for nobody knows yet what the codec will
save. Of an encoder that will replace everything before the cut nobody knows the time either; that of what it replaces is taken.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil, prod
from typing import Protocol

import onnx_ir as ir

from isthmus.devices.cost import transfer
from isthmus.devices.cost.table import CostTable, CutCost
from isthmus.devices.link import LinkProfile
from isthmus.errors import ConfigError, UsageError
from isthmus.export.cutting import cuts
from isthmus.export.cutting.cuts import Cut


@dataclass(frozen=True, slots=True, kw_only=True)
class CutCosts:
    """What choosing goes by.

    Attributes:
        device: costs of the device.
        server: costs of the server.
        link: between them.
    """

    device: CostTable
    server: CostTable
    link: LinkProfile


@dataclass(frozen=True, slots=True, kw_only=True)
class Costed:
    """One cut with its latency.

    Attributes:
        code_bytes: of a picture, not compressed.
        latency_s: device, link and server.
    """

    cut: Cut
    code_bytes: int
    latency_s: float


class Codes(Protocol):
    """What a bottleneck will make."""

    @property
    def bottleneck_name(self) -> str:
        """`none`, `pca`, `learned` or `own`."""

    @property
    def code_channels(self) -> int:
        """Channels of the codes of `pca` and `learned`."""

    @property
    def code_bits(self) -> int:
        """Bits of a code."""


def choose(
    found: Sequence[Cut],
    selector: str,
    costs: CutCosts | None,
    *,
    model: ir.Model,
    codes: Codes,
    on_step: Callable[[str], None],
) -> Cut:
    """The cut that a selector names; `auto` goes by costs where there are some.

    Raises:
        UsageError: nothing matches.
        ConfigError: the costs are of another network, or know no cuts.
    """
    floats_only = codes.bottleneck_name != "none"
    if costs is None or selector.strip() != "auto":
        return cuts.find(found, selector, model=model, floats_only=floats_only)
    channels = codes.code_channels if codes.bottleneck_name in ("pca", "learned") else None
    best = quickest(cuts.codable(found, floats_only=floats_only), costs, channels=channels, bits=codes.code_bits)
    on_step(
        f"auto by costs: {best.latency_s * 1e3:.1f} ms predicted over {costs.link}, "
        f"codes of {best.code_bytes} bytes before the codec"
    )
    return best.cut


def quickest(candidates: Sequence[Cut], costs: CutCosts, *, channels: int | None, bits: int) -> Costed:
    """The cut of least latency.

    Args:
        candidates: of the model, single tensors that can become codes.
        costs: of a bundle of the same network.
        channels: that the bottleneck makes; None where every value becomes a code.
        bits: of a code.

    Raises:
        ConfigError: the costs are of another network, or know no cuts.
        UsageError: none of these cuts is in the costs.
    """
    if not costs.device.cuts or not costs.server.cuts:
        raise ConfigError(
            f"the costs of {costs.device.bundle} know no cuts; `isthmus bench BUNDLE --profile` finds them where isthmus[export] "
            "is installed, and --device carries them to another device"
        )
    by_index = {cut.index: cut for cut in candidates}
    behind = {cost.index: cost.after.value for cost in costs.server.cuts}
    found = []
    for cost in costs.device.cuts:
        cut = by_index.get(cost.index)
        if cut is not None and cost.index in behind and 0 < cost.flops_share < 1:
            _check(cut, cost, costs)
            found.append(_costed(cut, cost, behind[cost.index], costs.link, channels, bits))
    if not found:
        raise UsageError("no cut of a single tensor of floats is among the costs, with FLOPs on both sides; name one with --cut")
    return min(found, key=lambda one: one.latency_s)


def _check(cut: Cut, cost: CutCost, costs: CutCosts) -> None:
    if cut.tensors != cost.tensors:
        raise ConfigError(
            f"the costs of {costs.device.bundle} are of another network: their cut {cost.index} is {', '.join(cost.tensors)}, "
            f"here it is {', '.join(cut.tensors)}; measure a bundle of this network"
        )


def _costed(cut: Cut, cost: CutCost, after_s: float, link: LinkProfile, channels: int | None, bits: int) -> Costed:
    size = ceil(_codes(cut, channels) * bits / 8)
    on_the_way_s = transfer.duration(link, transfer.exchange(size, transfer.ANSWER_BYTES)).value
    return Costed(cut=cut, code_bytes=size, latency_s=cost.before.value + on_the_way_s + after_s)


def _codes(cut: Cut, channels: int | None) -> int:
    """How many codes cross: one for each value, or so many channels at each place."""
    sizes = [size for size in cut.shapes[0][1:] if isinstance(size, int)]
    if channels is None or len(sizes) < 2:
        values = cut.values or prod(sizes)
        return values if channels is None else min(values, channels)
    # Maps are [batch, channel, row, column], tokens [batch, token, feature].
    own, places = (sizes[0], prod(sizes[1:])) if len(sizes) >= 3 else (sizes[1], sizes[0])
    return min(own, channels) * places
