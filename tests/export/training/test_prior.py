import math

import pytest
import torch

from isthmus.export.training.prior import FactorisedPrior


@pytest.fixture(autouse=True)
def _same_numbers():
    torch.manual_seed(0)


def test_the_chances_of_all_values_add_up_to_one():
    values = torch.arange(-400.0, 401.0).reshape(1, 1, 1, -1)
    assert float((-FactorisedPrior(1).bits(values).detach() * math.log(2)).exp().sum()) == pytest.approx(1.0, abs=1e-3)


def test_every_channel_has_its_own_distribution():
    found = FactorisedPrior(3).bits(torch.zeros(2, 3, 4, 5))
    assert found.shape == (2, 3, 4, 5)
    assert len(found[0, :, 0, 0].unique()) == 3


def test_training_finds_the_entropy_of_what_it_sees():
    prior = FactorisedPrior(1)
    moving = torch.optim.Adam(prior.parameters(), 0.05)
    chances = torch.tensor([0.7, 0.2, 0.1])
    for _ in range(200):
        values = torch.multinomial(chances, 512, replacement=True).float().reshape(1, 1, 1, -1)
        moving.zero_grad()
        loss = prior.bits(values).mean()
        loss.backward()
        moving.step()
    assert float(loss.detach()) == pytest.approx(1.157, abs=0.15)


def test_an_odd_value_costs_no_more_than_the_bound():
    assert float(FactorisedPrior(1).bits(torch.full((1, 1, 1, 1), 1e6)).detach().max()) < 30
