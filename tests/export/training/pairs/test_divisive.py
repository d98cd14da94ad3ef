import torch

from isthmus.export.training.pairs.divisive import DivisiveNormalisation


def test_a_fresh_layer_divides_by_what_its_own_channel_holds():
    value = torch.tensor([[[[2.0]], [[0.0]]]])
    made = DivisiveNormalisation(2)(value).flatten()
    assert torch.allclose(made, torch.tensor([2.0 / 1.2, 0.0]), atol=1e-3)


def test_the_inverse_multiplies_by_the_same():
    torch.manual_seed(0)
    value = torch.randn(2, 3, 4, 4)
    assert torch.allclose(DivisiveNormalisation(3, inverse=True)(value), value * (value / DivisiveNormalisation(3)(value)))


def test_neighbours_learn_to_count():
    layer, value = DivisiveNormalisation(2), torch.randn(4, 2, 3, 3)
    layer(value).square().sum().backward()
    assert layer.gamma.grad[0, 1] != 0
