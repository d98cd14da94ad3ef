"""How training steps run fastest on this machine, now: number of threads, and float32 or bfloat16. Measured, not guessed.

bfloat16 is several times faster where the processor has it and slower where it does not; two threads are slower than one where
other programs want the second core.
"""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import nn

TRIALS = 3
CPU = torch.device("cpu")

Module = TypeVar("Module", bound=nn.Module)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """A way to take steps, and what one took when it was measured."""

    threads: int
    half_precision: bool
    step_s: float = 0.0

    def apply(self) -> None:
        """Set the number of threads of this process."""
        torch.set_num_threads(self.threads)

    def autocast(self, device: torch.device = CPU) -> torch.autocast:
        """Context in which the forward pass runs."""
        return torch.autocast(device.type, torch.bfloat16, enabled=self.half_precision)


def fastest(step: Callable[[Pace], None]) -> Pace:
    """Try the ways with `step`, which takes one training step without updating, and apply the fastest."""
    cores = len(os.sched_getaffinity(0))
    ways = [Pace(threads=threads, half_precision=half) for threads in sorted({1, cores}) for half in (False, True)]
    best = min((_timed(step, way) for way in ways), key=lambda way: way.step_s)
    best.apply()
    return best


def _timed(step: Callable[[Pace], None], way: Pace) -> Pace:
    way.apply()
    durations = []
    for _ in range(TRIALS):
        started = time.perf_counter()
        step(way)
        durations.append(time.perf_counter() - started)
    # The median: a lucky trial between two of another program's time slices says nothing about a minute of training.
    return Pace(threads=way.threads, half_precision=way.half_precision, step_s=sorted(durations)[TRIALS // 2])


def channels_last(module: Module) -> Module:
    """`module` with its convolution weights laid out channels last, which oneDNN computes faster on CPUs."""
    module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return module
