"""How the next token is drawn from logits: on the server, and on the device where it has the model's last layers.

First the repetition penalty on tokens of the answer so far (Keskar et al. 2019, "CTRL", section 4.1), then temperature, then the
`top_k` likeliest, of these the fewest that hold `top_p` of the probability (Holtzman et al. 2020), of these what has at least
`min_p` of the likeliest one's probability (Nguyen et al. 2024). This is the order of transformers.

A draw depends on logits, seed and position and on nothing else: not on what else is computed meanwhile, nor on how often it
was asked for. So a repeated step, and a step on another server, give the same token.
"""

import dataclasses
import hashlib
import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from isthmus.contract.generated import split_pb2 as wire
from isthmus.contract.language import Generation
from isthmus.errors import DeviceError, RemoteProtocolError

LOGPROBS_MAX = 20
"""As many as the usual interfaces offer."""
_SEED_MAX = 2**64 - 1
_BOUNDS = {
    "temperature": (0.0, 100.0),
    "top_k": (0, 2**32 - 1),
    "top_p": (0.0, 1.0),
    "min_p": (0.0, 1.0),
    "repetition_penalty": (0.001, 1000.0),
    "seed": (0, _SEED_MAX),
    "logprobs": (0, LOGPROBS_MAX),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How to draw. The defaults take the likeliest token."""

    temperature: float = 0.0
    """0 takes the likeliest token, of equal ones the one of the lowest id; what is below does not count then."""
    top_k: int = 0
    """0: all."""
    top_p: float = 1.0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    """Above 1 a token that the answer has already becomes less likely."""
    seed: int = 0
    logprobs: int = 0
    """How many of the likeliest tokens to report."""

    def __post_init__(self) -> None:
        for name, (low, high) in _BOUNDS.items():
            value = getattr(self, name)
            # Written so that NaN fails too.
            if not low <= value <= high:
                raise RemoteProtocolError(f"sampling: {name} is {value}, allowed is {low:g} to {high:g}")

    @classmethod
    def of(cls, said: Generation) -> Self:
        """What the model's authors recommend; greedy where they do not sample."""
        penalty = said.repetition_penalty or 1.0
        if not said.samples:
            return cls(repetition_penalty=penalty)
        return cls(
            temperature=1.0 if said.temperature is None else said.temperature,
            top_k=said.top_k or 0,
            top_p=1.0 if said.top_p is None else said.top_p,
            min_p=said.min_p or 0.0,
            repetition_penalty=penalty,
        )

    def told(self, message: wire.Sampling) -> Self:
        """These, with what a message has set in their place.

        Raises:
            RemoteProtocolError: a value is out of its bounds.
        """
        set_there = {field.name: getattr(message, field.name) for field, _ in message.ListFields()}
        return dataclasses.replace(self, **set_there)

    def message(self) -> wire.Sampling:
        """All of them, for the wire."""
        return wire.Sampling(**dataclasses.asdict(self))


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """A token, and how likely it was.

    Attributes:
        id: of the token.
        logprob: natural logarithm of its probability as the model has it, before penalty, temperature and cuts.
        likeliest: ids and the same of the likeliest tokens, as many as were asked for; else nothing.
    """

    id: int
    logprob: float
    likeliest: tuple[tuple[int, float], ...] = ()


def draw(logits: np.ndarray, sampling: Sampling, *, position: int, answer: Sequence[int] = ()) -> Drawn:
    """Draw the token of one position.

    Args:
        logits: float32[vocabulary].
        sampling: how.
        position: of the token to be drawn.
        answer: tokens of the answer so far, for the penalty; ids that the vocabulary lacks are passed over.

    Raises:
        DeviceError: there is NaN or infinity among the logits.
    """
    if not np.isfinite(logits).all():
        raise DeviceError(f"the network gave NaN or infinity at position {position}")
    scores = logits.astype(np.float64)
    normal = _log_of_sum(scores)
    penalised = _penalise(scores, sampling.repetition_penalty, answer)
    chosen = int(penalised.argmax()) if sampling.temperature == 0 else _draw(penalised, sampling, position)
    return Drawn(id=chosen, logprob=float(scores[chosen] - normal), likeliest=_likeliest(scores - normal, sampling.logprobs))


def uniform(seed: int, position: int) -> float:
    """A number in [0, 1) that looks random: the first 53 bits of BLAKE2b over seed and position.

    >>> uniform(1, 2) == uniform(1, 2) != uniform(1, 3)
    True
    """
    digest = hashlib.blake2b(struct.pack("<QQ", seed, position), digest_size=8).digest()
    return (int.from_bytes(digest, "little") >> 11) / 2**53


def _penalise(scores: np.ndarray, penalty: float, answer: Sequence[int]) -> np.ndarray:
    if penalty == 1 or not answer:
        return scores
    seen = np.unique(np.asarray(answer, np.int64))
    seen = seen[(seen >= 0) & (seen < len(scores))]
    penalised = scores.copy()
    penalised[seen] = np.where(scores[seen] > 0, scores[seen] / penalty, scores[seen] * penalty)
    return penalised


def _draw(scores: np.ndarray, sampling: Sampling, position: int) -> int:
    ids = _top_k(scores, sampling.top_k)
    with np.errstate(over="ignore"):  # Below a temperature of 1e-300 what is not the highest is infinitely far away.
        weights = np.exp((scores[ids] - scores.max()) / sampling.temperature)
    if sampling.top_p < 1:
        kept = _nucleus(weights, sampling.top_p)
        ids, weights = ids[kept], weights[kept]
    kept = weights >= max(sampling.min_p, np.finfo(np.float64).tiny)
    ids, weights = ids[kept], weights[kept]
    reached = np.cumsum(weights)
    place = int(np.searchsorted(reached, uniform(sampling.seed, position) * reached[-1], side="right"))
    return int(ids[min(place, len(ids) - 1)])


def _top_k(scores: np.ndarray, count: int) -> np.ndarray:
    """Ids of the highest scores, ascending; of equal ones those of the lowest ids."""
    if not 0 < count < len(scores):
        return np.arange(len(scores))
    least = np.partition(scores, -count)[-count]
    above = np.flatnonzero(scores > least)
    equal = np.flatnonzero(scores == least)[: count - len(above)]
    return np.sort(np.concatenate((above, equal)))


def _nucleus(weights: np.ndarray, share: float) -> np.ndarray:
    """Indices, ascending, of the fewest largest weights that hold `share` of the sum; at least one."""
    total = weights.sum()
    # What is left out here holds less than 1 - share altogether, so the nucleus is in the rest, which is soon sorted.
    few = np.flatnonzero(weights >= total * (1 - share) / len(weights))
    order = few[np.argsort(-weights[few], kind="stable")]
    before = np.cumsum(weights[order]) - weights[order]
    return np.sort(order[: max(1, int((before < share * total).sum()))])


def _likeliest(logprobs: np.ndarray, count: int) -> tuple[tuple[int, float], ...]:
    if not count:
        return ()
    ids = _top_k(logprobs, count)
    ordered = ids[np.argsort(-logprobs[ids], kind="stable")]
    return tuple((int(one), float(logprobs[one])) for one in ordered)


def _log_of_sum(scores: np.ndarray) -> float:
    highest = float(scores.max())
    return highest + math.log(float(np.exp(scores - highest).sum()))
