import numpy as np
import pytest

from isthmus.export.language import fidelity
from isthmus.export.language.chain import Chain
from isthmus.export.language.text import Text


@pytest.fixture
def text():
    ids = np.random.default_rng(0).integers(0, 300, (4, 100))
    return Text(name="random", calibration=ids[:2], measured=ids[2:])


@pytest.fixture
def networks(language_bundle):
    return [(language_bundle.path(name), "float32") for name in ("head.onnx", "tail.onnx")]


def test_the_loss_is_that_of_the_token_that_follows(networks, text):
    import torch

    chain, losses = Chain(networks, positions=100), []
    for ids in text.measured:
        chain.restart()
        logits = torch.from_numpy(chain.run(ids)[:-1])
        losses.append(torch.nn.functional.cross_entropy(logits, torch.from_numpy(ids[1:])).item())
    scored = fidelity.score(networks, text)
    assert scored.loss == pytest.approx(np.mean(losses), rel=1e-5)
    assert scored.best.shape == (2, 100)


def test_figures_are_shares_of_all_positions(text):
    one = fidelity.Scored(best=np.array([[1, 2, 3, 4]]), loss=0.0)
    other = fidelity.Scored(best=np.array([[1, 2, 0, 0]]), loss=np.log(2.0))
    found = fidelity.compare("split", text, one, other)
    assert (found.agreement, found.perplexity, found.perplexity_float32) == (0.5, 1.0, pytest.approx(2.0))
