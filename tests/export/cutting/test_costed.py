from types import SimpleNamespace

import pytest

from isthmus.devices import link as links
from isthmus.devices.cost.table import CostTable, CutCost, Device, Seconds
from isthmus.errors import ConfigError, UsageError
from isthmus.export.cutting import costed, cuts
from isthmus.export.cutting.costed import CutCosts


def seconds(value):
    return Seconds(value=value, low=value, high=value)


def table(found, before_s, whole_s):
    """Costs of all cuts; `before_s` gives the time of a head by the index of its cut."""
    rows = [
        CutCost(
            index=cut.index,
            tensors=cut.tensors,
            bytes=cut.bytes,
            values=cut.values,
            flops_share=cut.flops_share,
            before=seconds(before_s(cut.index)),
            after=seconds(whole_s - before_s(cut.index)),
        )
        for cut in found
    ]
    device = Device(profile="here", cpu_model="", architecture="x86_64", threads=1, provider="cpu", onnxruntime="1")
    facts = {"kind": "measured", "bundle": "demo", "contract_digest": "a", "created": "now", "device": device}
    return CostTable.model_validate(facts | {"stages": {}, "networks": {}, "cuts": tuple(rows), "steady": True})


@pytest.fixture
def skip(handmade):
    return handmade["skip"]


def chosen(model, link, device_s=0.01, server_s=0.001, selector="auto", **codes):
    """The cut of a network whose nodes take the same time each."""
    found = cuts.enumerate(model)
    costs = CutCosts(
        device=table(found, lambda index: device_s * (index + 1), 8 * device_s),
        server=table(found, lambda index: server_s * (index + 1), 8 * server_s),
        link=links.parse(link),
    )
    what = SimpleNamespace(**({"bottleneck_name": "none", "code_channels": 2, "code_bits": 4} | codes))
    said = []
    return costed.choose(found, selector, costs, model=model, codes=what, on_step=said.append), said


def test_a_slow_link_is_crossed_where_least_crosses_and_a_fast_one_early(skip):
    early, _ = chosen(skip, "unlimited")
    late, _ = chosen(skip, "1kbit/0ms")
    assert early.index < late.index
    assert late.values == min(cut.values for cut in cuts.codable(cuts.enumerate(skip)) if 0 < cut.flops_share < 1)


def test_a_device_as_fast_as_its_server_gains_nothing_by_an_early_cut(skip):
    slow, _ = chosen(skip, "20kbit/0ms")
    fast, said = chosen(skip, "20kbit/0ms", device_s=0.0001)
    assert fast.index >= slow.index
    assert "ms predicted over 20kbit/0ms, codes of" in said[0]


def test_channels_of_a_bottleneck_count_and_not_the_values(skip):
    cut = cuts.find(cuts.enumerate(skip), "active")
    costs = CutCosts(device=table([cut], lambda _: 0.1, 1), server=table([cut], lambda _: 0.1, 1), link=links.parse("unlimited"))
    sizes = [costed.quickest([cut], costs, channels=channels, bits=4).code_bytes for channels in (None, 1, 2, 99)]
    # `active` has four channels of 8 x 8.
    assert sizes == [128, 32, 64, 128]


def test_a_name_is_taken_as_ever(skip):
    assert chosen(skip, "unlimited", selector="active")[0].tensors == ("active",)


def test_costs_of_another_network_are_refused(skip, handmade):
    other = table(cuts.enumerate(handmade["two_inputs"]), lambda index: index, 9)
    costs = CutCosts(device=other, server=other, link=links.parse("1mbit/20ms"))
    with pytest.raises(ConfigError, match="are of another network: their cut"):
        costed.quickest(cuts.codable(cuts.enumerate(skip)), costs, channels=None, bits=4)


def test_costs_without_cuts_say_how_to_get_them(skip):
    empty = table([], lambda _: 0, 0)
    costs = CutCosts(device=empty, server=empty, link=links.parse("1mbit/20ms"))
    with pytest.raises(ConfigError, match="know no cuts"):
        costed.quickest(cuts.codable(cuts.enumerate(skip)), costs, channels=None, bits=4)


def test_where_no_cut_fits_one_has_to_be_named(skip):
    found = [cut for cut in cuts.enumerate(skip) if not cut.is_single]
    several = table(found, lambda index: index, 9)
    costs = CutCosts(device=several, server=several, link=links.parse("1mbit/20ms"))
    with pytest.raises(UsageError, match="name one with --cut"):
        costed.quickest(cuts.codable(cuts.enumerate(skip)), costs, channels=None, bits=4)
