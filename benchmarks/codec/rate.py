"""Go on training a learned bottleneck with a term for its bytes, so that its codes become cheap.

The term is the length of the codes under Laplace distributions around a linear prediction from the row above, the cell to the
left and earlier channels (what mode `intra` looks at), with prediction and spreads trained along (Minnen et al. 2018 do this with
a network). It is a plain stand-in for the codec's own cost.
"""

import math

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from isthmus.export.bottlenecks.convolutional import round_straight_through
from isthmus.export.training.distill import Learned
from isthmus.export.training.teacher import Teacher


class Rate(nn.Module):
    """Mean bits of a code; codes float32[batch, channel, row, column]."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.predict = nn.Conv2d(channels, channels, 3, padding=1)
        nn.init.zeros_(self.predict.weight)
        seen = torch.zeros(channels, channels, 3, 3)
        own, earlier = torch.eye(channels, dtype=torch.bool), torch.ones(channels, channels).tril(-1).bool()
        seen[own, 0, :] = 1
        seen[own, 1, 0] = 1
        seen[earlier] = 1
        self.register_buffer("seen", seen)
        self.spread = nn.Parameter(torch.zeros(channels))

    def forward(self, codes: torch.Tensor) -> torch.Tensor:
        """Bits."""
        predicted = functional.conv2d(codes, self.predict.weight * self.seen, self.predict.bias, padding=1)
        spread = self.spread.exp().clamp(0.05, 50).view(1, -1, 1, 1)
        away = (codes - predicted).abs()
        # The mass of a Laplace distribution between half a code below and half a code above.
        far = torch.exp(-away / spread) * torch.sinh(0.5 / spread)
        near = 1 - torch.exp(-0.5 / spread) * torch.cosh(away.clamp(max=0.5) / spread)
        return -torch.log2(torch.where(away > 0.5, far, near).clamp(min=1e-6)).mean()


def cheapen(learned: Learned, teacher: Teacher, *, weight: float, steps: int, batch: int) -> None:
    """Train encoder and decoder on: features over their variance, and `weight` times the bits of a code."""
    channels = learned.encoder.narrow.out_channels
    rate = Rate(channels)
    parts = nn.ModuleList([learned.encoder, learned.decoder, rate]).train()
    optimizer = torch.optim.AdamW(parts.parameters(), lr=1e-3)
    random = np.random.default_rng(0)
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = 1e-3 * (0.5 + 0.5 * math.cos(math.pi * step / steps))
        pictures, features = teacher.batch(random.integers(0, len(teacher.pictures), batch))
        codes = round_straight_through(learned.encoder(pictures), *learned.code_range)
        loss = functional.mse_loss(learned.decoder(codes), features) / teacher.variance + weight * rate(codes)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(parts.parameters(), 2.0)
        optimizer.step()
    parts.eval()
