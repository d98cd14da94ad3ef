"""How near networks come to the model in float32, on a text: how often they find the same token likeliest, and perplexity."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from isthmus.contract.language import Fidelity
from isthmus.export.language.chain import Chain, OnDisk
from isthmus.export.language.text import Text

ROWS = 64
"""That get logits at a time: of 128,000 tokens that is 33 MB."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scored:
    """What a model makes of the windows of a text.

    Attributes:
        best: int64[window, token], likeliest token behind each.
        loss: mean negative log-likelihood of the token that follows, in nats.
    """

    best: np.ndarray
    loss: float

    @property
    def perplexity(self) -> float:
        """Of the tokens that follow."""
        return float(np.exp(min(self.loss, 700.0)))


def score(networks: Sequence[OnDisk], text: Text) -> Scored:
    """Run networks over the measured windows of a text.

    Args:
        networks: in order.
        text: which.
    """
    chain = Chain(networks, positions=text.measured.shape[1])
    found = [_window(chain, ids) for ids in text.measured]
    return Scored(best=np.stack([best for best, _ in found]), loss=float(np.mean([loss for _, loss in found])))


def _window(chain: Chain, ids: np.ndarray) -> tuple[np.ndarray, float]:
    chain.restart()
    best, losses = [], []
    for first in range(0, len(ids), ROWS):
        logits = chain.run(ids[first : first + ROWS])
        best.append(logits.argmax(-1))
        following = ids[first + 1 : first + ROWS + 1]
        losses.append(_losses(logits[: len(following)], following))
    return np.concatenate(best), float(np.concatenate(losses).mean())


def _losses(logits: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """Negative log-likelihoods, float64[row]."""
    wide = logits.astype(np.float64)
    highest = wide.max(-1, keepdims=True)
    total = np.log(np.exp(wide - highest).sum(-1)) + highest[:, 0]
    return np.asarray(total - wide[np.arange(len(ids)), ids])


def compare(network: Literal["split", "local"], text: Text, scored: Scored, float32: Scored) -> Fidelity:
    """Put what networks found beside what the model in float32 found."""
    return Fidelity(
        network=network,
        text=text.name,
        tokens=scored.best.size,
        agreement=float((scored.best == float32.best).mean()),
        perplexity=scored.perplexity,
        perplexity_float32=float32.perplexity,
    )
