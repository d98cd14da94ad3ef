"""Gates before quantisation: the networks one behind the other are the model of transformers.

The split model writes on greedily, token by token and with its caches. transformers then sees prompt and answer at once, without
a cache: at every position its likeliest token must be the one that was written, unless the two best lie so close that float32
decides. Logits of the split model are those of two calls, the prompt and behind it the answer, as a server takes long prompts.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from isthmus.contract.manifest import Gate
from isthmus.errors import ExportError
from isthmus.export.language.chain import Chain, OnDisk
from isthmus.export.language.outline import Outline
from isthmus.export.language.workshop import Workshop

STEPS = 64
PROMPT_ROWS = 16
COMPARED_ROWS = STEPS + PROMPT_ROWS
NEAR_TIE = 1e-4
"""Two logits closer than this are one: sums in another order decide which is larger."""
LOGITS_ERROR_MAX = 1e-4
"""Of the largest logit, or of 1 where none is as large."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """What came of a comparison.

    Attributes:
        error: largest difference of a logit, of the largest logit or of 1.
        wrong: steps at which the two find other tokens that are no near tie.
        near_ties: steps at which they find other tokens that are one.
    """

    error: float
    wrong: int
    near_ties: int

    @property
    def passes(self) -> bool:
        """Whether the two are one model."""
        return self.error <= LOGITS_ERROR_MAX and not self.wrong


def check(workshop: Workshop, networks: Sequence[OnDisk], *, positions: int) -> tuple[Gate, ...]:
    """Compare the networks with transformers.

    Args:
        workshop: that made them.
        networks: in order, in float32.
        positions: longest sequence that they take.

    Raises:
        ExportError: a gate failed; the message has the measured difference.
    """
    plan = workshop.outline
    prompt = _prompt(plan, positions)
    chain = Chain(networks, positions=len(prompt) + STEPS)
    written = chain.greedy(prompt, min(STEPS, positions - len(prompt) + 1))
    sequence = np.concatenate([prompt, written[:-1]])
    keep = min(len(sequence), COMPARED_ROWS)
    logits = _in_two_calls(chain, prompt, written[:-1])[-keep:]
    found = compare(logits, workshop.logits(sequence, keep=keep), written)
    if not found.passes:
        raise ExportError(
            f"{workshop.folder}: {plan.architecture} built from its parts is not the model of transformers: logits differ by "
            f"{found.error:.2g} of the largest (at most {LOGITS_ERROR_MAX:g}), {found.wrong} of {len(written)} greedy tokens are "
            "others"
        )
    ties = f"{found.near_ties} near ties" if found.near_ties else "no near tie"
    return (
        Gate(
            name="logits equal transformers",
            value=found.error,
            limit=LOGITS_ERROR_MAX,
            detail=f"{keep} of {len(sequence)} positions",
        ),
        Gate(name="greedy tokens equal transformers", value=found.wrong, limit=0, detail=f"{len(written)} steps, {ties}"),
    )


def _in_two_calls(chain: Chain, prompt: np.ndarray, answer: np.ndarray) -> np.ndarray:
    """Logits of the last rows of a prompt and of those that answer it."""
    chain.restart()
    logits = chain.run(prompt, keep=COMPARED_ROWS - len(answer))
    return np.concatenate([logits, chain.run(answer)]) if len(answer) else logits


def compare(logits: np.ndarray, expected: np.ndarray, written: np.ndarray) -> Compared:
    """Compare logits of a sequence, and the tokens at its end with those that the expected logits find.

    Args:
        logits: float32[row, vocabulary].
        expected: float32[row, vocabulary].
        written: int64[step], the tokens behind the last `step` rows.
    """
    # Row by row: all rows of a large vocabulary at once would be more than a layer.
    scale = max(1.0, float(expected.max()), -float(expected.min()))
    error = float(np.max([np.abs(found - wanted).max() for found, wanted in zip(logits, expected, strict=True)])) / scale
    ends = expected[-len(written) :]
    gaps = np.array([np.diff(np.partition(row, -2)[-2:])[0] for row in ends])
    other, tie = ends.argmax(-1) != written, gaps < NEAR_TIE
    return Compared(error=error, wrong=int((other & ~tie).sum()), near_ties=int((other & tie).sum()))


def _prompt(plan: Outline, positions: int) -> np.ndarray:
    """Random tokens, so many that every sliding window slides."""
    windows = [window for window in plan.windows if window is not None and window < positions]
    rows = min(max([PROMPT_ROWS, *(window + PROMPT_ROWS for window in windows)]), positions - 1)
    return np.random.default_rng(0).integers(0, plan.vocabulary, rows)
