"""Networks cut out of a trained MobileNetV2."""

import pytest
import torch


@pytest.fixture
def mobilenet(package):
    return package("benchmarks.mobilenet")


@pytest.fixture
def network(mobilenet):
    torch.manual_seed(0)
    return mobilenet.begin(mobilenet.MobileNetV2(4, width=0.25)).eval()


def test_of_full_width_nothing_changes(mobilenet, network) -> None:
    picture = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(mobilenet.reduced(network).eval()(picture), network(picture))


def test_channels_that_weigh_nothing_are_the_ones_that_go(mobilenet, network) -> None:
    """With half of the inner channels of a block silenced, a network without them says the same."""
    block = network.features[2]
    keep = torch.arange(0, block.conv[1][0].out_channels, 2)
    with torch.no_grad():
        silenced = torch.ones(block.conv[1][0].out_channels, dtype=bool)
        silenced[keep] = False
        block.conv[1][0].weight[silenced] = 0
        block.conv[1][0].bias[silenced] = 0
        small = mobilenet.Inverted(8, 8, 3, 2)
        mobilenet._copy_block(block, small, torch.arange(8), torch.arange(8))
        value = torch.randn(1, 8, 16, 16)
        assert torch.allclose(small(value), block(value), atol=1e-5)


def test_an_exit_begins_with_the_same_blocks(mobilenet, network) -> None:
    small = mobilenet.reduced(network, blocks=7)
    picture = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(small.features[:8](picture), network.features[:8](picture))
    assert small(picture).shape == (1, 4)


def test_thinner_networks_are_smaller_and_run(mobilenet, network) -> None:
    wide = mobilenet.MobileNetV2(4)
    thin = mobilenet.reduced(wide, width=0.5)
    weights = [sum(weight.numel() for weight in one.parameters()) for one in (thin, wide)]
    assert weights[0] < 0.6 * weights[1]
    assert thin(torch.randn(1, 3, 32, 32)).shape == (1, 4)
