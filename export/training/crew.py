"""The processes that train one bottleneck together: one alone, or as many as `accelerate launch` or `torchrun` has started.

    accelerate launch --num_processes 4 -m isthmus export ...

Every process has a copy of the weights and a part of the pictures, asks the unsplit network about that part alone, and gradients
are averaged before every step, so that the copies stay equal (synchronous data-parallel descent, Goyal et al. 2017, "Accurate,
Large Minibatch SGD"). A step shows as many pictures as one of a process alone would.
"""

import functools
from collections.abc import Iterable

import numpy as np
import torch
from accelerate import PartialState
from accelerate.utils import broadcast_object_list, reduce
from torch import Tensor


class Crew:
    """This process among those that train together."""

    def __init__(self) -> None:
        self._state = PartialState(cpu=not torch.cuda.is_available())

    @property
    def size(self) -> int:
        """Number of processes."""
        return int(self._state.num_processes)

    @property
    def is_first(self) -> bool:
        """Whether this process speaks for all: it shows progress, keeps checkpoints and writes the bundle."""
        return bool(self._state.is_main_process)

    @property
    def device(self) -> torch.device:
        """Where this process computes."""
        return torch.device(self._state.device)

    def part(self, count: int) -> np.ndarray:
        """Indices of this process's pictures of `count`, int64[...]; of pictures in order of class it gets some of each."""
        return np.arange(self._state.process_index, count, self.size)

    def average(self, tensors: Iterable[Tensor]) -> None:
        """Give all processes the mean of each float tensor, in place; they name the same ones in the same order."""
        if self.size == 1:
            return
        kept = list(tensors)
        if not kept:
            return
        # One message instead of hundreds.
        flat = torch.cat([one.detach().reshape(-1).float() for one in kept])
        mean = reduce(flat, reduction="mean")
        for one, part in zip(kept, mean.split([one.numel() for one in kept]), strict=True):
            one.detach().copy_(part.view_as(one))

    def mean(self, value: float) -> float:
        """Of all processes' values; not finite where one is not."""
        if self.size == 1:
            return value
        held = torch.tensor([value], dtype=torch.float32, device=self.device)
        self.average([held])
        return float(held)

    def any(self, held: bool) -> bool:
        """Whether it holds for any process."""
        return held if self.size == 1 else self.mean(float(held)) > 0

    def agreed(self, value: int) -> int:
        """What the first process says."""
        return value if self.size == 1 else int(broadcast_object_list([value])[0])

    def leave(self) -> None:
        """End this process unless it is the first, which goes on alone.

        Raises:
            SystemExit: with code 0, in every other process.
        """
        if self.size > 1:
            self._state.wait_for_everyone()
            self._state.destroy_process_group()
        if not self.is_first:
            raise SystemExit(0)


@functools.cache
def here() -> Crew:
    """The crew that this process was started in."""
    return Crew()
