import pytest
import torch
from hypothesis import given
from hypothesis import strategies as some

from isthmus.errors import ExportError
from isthmus.export.bottlenecks.convolutional import GAIN_START, Decoder, Encoder, encoder_stride, round_straight_through


@pytest.mark.parametrize(
    ("picture", "cut", "stride"),
    [
        ((224, 224), (14, 14), 16),
        ((224, 224), (7, 7), 32),
        ((224, 224), (112, 112), 4),
        ((224, 224), (1, 1), 32),
        ((224, 224), (15, 15), 16),
        ((224, 224), (10, 10), 16),
        ((416, 832), (52, 104), 8),
        ((16, 16), (32, 32), 4),
    ],
)
def test_the_stride_is_the_power_of_two_nearest_to_the_cut(picture, cut, stride):
    assert encoder_stride(picture, cut) == stride


@given(some.tuples(*[some.integers(1, 4096)] * 4))
def test_every_size_gets_a_stride_that_an_encoder_takes(sizes):
    assert encoder_stride(sizes[:2], sizes[2:]) in (4, 8, 16, 32)


@pytest.mark.parametrize("stride", [4, 8, 16, 32])
def test_the_grid_of_the_codes_is_the_input_over_the_stride(stride):
    codes = Encoder(3, 5, stride).eval()(torch.zeros(2, 3, 64, 96))
    assert codes.shape == (2, 5, 64 // stride, 96 // stride)


@pytest.mark.parametrize("stride", [0, 1, 2, 12, 64])
def test_other_strides_are_refused(stride):
    with pytest.raises(ExportError, match=f"4, 8, 16 or 32, not {stride}"):
        Encoder(3, 5, stride)


@pytest.mark.parametrize(
    ("picture", "stride", "shape"),
    [((45, 37), 8, (12, 6, 5)), ((45, 37), 8, (12, 5, 4)), ((64, 64), 16, (3, 7, 9)), ((33, 64), 32, (40, 1, 1))],
)
def test_the_decoder_meets_a_cut_whose_grid_is_another(picture, stride, shape):
    codes = Encoder(1, 6, stride).eval()(torch.rand(2, 1, *picture))
    restored = Decoder(6, tuple(codes.shape[2:]), shape).eval()(codes)
    assert restored.shape == (2, *shape)


def test_codes_start_with_the_spread_that_suits_four_bits():
    torch.manual_seed(0)
    codes = Encoder(3, 8, 8).train()(torch.rand(8, 3, 64, 64))
    assert float(codes.detach().std()) == pytest.approx(GAIN_START, rel=0.05)


def test_codes_are_rounded_and_clamped():
    codes = torch.tensor([-9.0, -8.4, -0.6, 0.5, 1.5, 6.7, 7.2, 99.0])
    assert round_straight_through(codes, -8, 7).tolist() == [-8, -8, -1, 0, 2, 7, 7, 7]


def test_the_gradient_passes_inside_the_clamp_and_stops_outside():
    codes = torch.tensor([-9.0, -7.9, -0.5, 0.2, 6.9, 7.1], requires_grad=True)
    (round_straight_through(codes, -8, 7) * torch.arange(1.0, 7.0)).sum().backward()
    assert codes.grad.tolist() == [0, 2, 3, 4, 5, 0]


def test_the_gradient_reaches_every_weight_of_encoder_and_decoder():
    torch.manual_seed(0)
    encoder, decoder = Encoder(3, 4, 4).train(), Decoder(4, (4, 4), (6, 4, 4)).train()
    target = torch.rand(2, 6, 4, 4)
    (decoder(round_straight_through(encoder(torch.rand(2, 3, 16, 16)), -8, 7)) - target).square().sum().backward()
    for name, weight in (*encoder.named_parameters(), *decoder.named_parameters()):
        assert weight.grad is not None, name
        assert weight.grad.abs().sum() > 0, name
