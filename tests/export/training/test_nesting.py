import pytest
import torch

from isthmus.export.training.nesting import thinned

CODES = torch.full((4000, 6, 2, 2), 3.0)


def kept(codes):
    """How many leading channels each picture has; the others must be empty."""
    counts = (codes != 0).all(dim=(2, 3)).sum(1)
    assert torch.equal(codes, CODES[: len(codes)] * (torch.arange(6)[None] < counts[:, None])[:, :, None, None])
    return counts


def test_each_picture_keeps_the_channels_of_one_point():
    torch.manual_seed(0)
    counts = kept(thinned(CODES, (6, 3, 1)))
    shares = [float((counts == count).float().mean()) for count in (6, 3, 1)]
    assert shares == pytest.approx([0.5, 0.25, 0.25], abs=0.03)


def test_the_same_seed_draws_the_same_points():
    drawn = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        drawn.append(kept(thinned(CODES, (6, 3))))
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


@pytest.mark.parametrize("counts", [(), (6,)])
def test_one_point_takes_all(counts):
    assert thinned(CODES, counts) is CODES


def test_no_gradient_comes_to_what_was_left_out():
    torch.manual_seed(0)
    codes = CODES[:16].clone().requires_grad_()
    sent = thinned(codes, (6, 1))
    sent.sum().backward()
    assert torch.equal(codes.grad, (sent != 0).float())
