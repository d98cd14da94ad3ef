"""Train the filter: frames with something to see against empty ones, drawn event by event.

Cross entropy as in GHND, on as many frames with as without something; the frames of a long event weigh no more than those of a
short one. The number of steps is fixed: stopping where some other part looks best would spoil that part for what it is for.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch.nn import functional

from isthmus.contract.boundary import Boundary
from isthmus.export.filtering.network import FilterModule
from isthmus.export.filtering.parting import Stretch

STEPS = 300
"""On film of two minutes the loss comes to rest after some 100."""
BATCH = 64
LEARNING_RATE = 3e-3
WEIGHT_DECAY = 1e-2
SMOOTHING = 0.05
"""As if a label were right in 19 of 20 frames: where events begin and end, labels are a matter of taste."""
CHANGED_SHARE = 0.03
"""Of the codes are moved by a step in training, as another machine or an int8 head might do."""


def train(
    boundary: Boundary,
    stretches: Sequence[Stretch],
    *,
    seed: int,
    steps: int = STEPS,
    on_step: Callable[[int, int], None] = lambda _step, _steps: None,
) -> FilterModule:
    """Train a filter.

    Args:
        boundary: whose codes it takes.
        stretches: of the training part; together with events and with empty frames.
        seed: of weights and of what is drawn.
        steps: of training.
        on_step: called after each one, with its number and that of all.

    Returns:
        The module, in eval mode.
    """
    torch.manual_seed(seed)
    random = np.random.default_rng(seed)
    module = FilterModule(boundary)
    optimiser = torch.optim.AdamW(module.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, LEARNING_RATE, total_steps=steps, pct_start=0.1)
    draw = _Draw(boundary, stretches, random)
    target = torch.cat([torch.full((BATCH // 2,), 1 - SMOOTHING), torch.full((BATCH // 2,), SMOOTHING)])
    module.train()
    for step in range(steps):
        loss = functional.binary_cross_entropy_with_logits(module(draw.batch()), target)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
        on_step(step + 1, steps)
    return module.eval()


class _Draw:
    """Draws batches: half with something to see, an event and then a frame of it; half empty."""

    def __init__(self, boundary: Boundary, stretches: Sequence[Stretch], random: np.random.Generator) -> None:
        self._boundary = boundary
        self._stretches = stretches
        self._random = random
        self._noise = torch.Generator().manual_seed(int(random.integers(2**31)))
        self._events = [
            (index, event.first + np.flatnonzero(one.seen[event.first : event.last + 1]))
            for index, one in enumerate(stretches)
            for event in one.events
        ]
        self._empty = [(index, frame) for index, one in enumerate(stretches) for frame in np.flatnonzero(one.empty)]

    def batch(self) -> list[torch.Tensor]:
        """Codes of BATCH frames, those with something to see first: float32[BATCH, *shape] for each tensor."""
        events = [self._events[index] for index in self._random.integers(len(self._events), size=BATCH // 2)]
        places = [(index, int(self._random.choice(frames))) for index, frames in events]
        places += [self._empty[index] for index in self._random.integers(len(self._empty), size=BATCH // 2)]
        return [
            self._shaken(np.stack([self._stretches[index].codes[number][frame] for index, frame in places]), number)
            for number in range(len(self._boundary.tensors))
        ]

    def _shaken(self, codes: np.ndarray, number: int) -> torch.Tensor:
        tensor = self._boundary.tensors[number]
        values = torch.from_numpy(codes).float()
        count = round(CHANGED_SHARE * values.numel())
        places = torch.randint(values.numel(), (count,), generator=self._noise)
        values.view(-1)[places] += 2.0 * torch.randint(2, (count,), generator=self._noise) - 1.0
        return values.clamp_(tensor.lowest, tensor.highest)
