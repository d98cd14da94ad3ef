"""A factorised prior: what codes cost if every channel has a distribution of its own and its values are independent.

The cumulative distribution of a channel is a small monotone network (Balle et al. 2018, "Variational Image Compression with a
Scale Hyperprior", appendix 6.1). It is the rate term of published recipes, used while training only; what crosses is coded by
this package's codec, which knows neighbours too and needs fewer bytes.
"""

import itertools

import torch
from torch import Tensor, nn
from torch.nn import functional

WIDTHS = (1, 3, 3, 3, 1)
SPREAD = 10.0
"""Range of values that the fresh distributions are spread over."""
LIKELIHOOD_MIN = 1e-9
"""No value costs more than 30 bits, so that one odd code does not rule the gradient."""


class FactorisedPrior(nn.Module):
    """Bits of values that are rounded, or that have uniform noise of one step in place of the rounding."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        scale = SPREAD ** (1 / (len(WIDTHS) - 1))
        self.matrices, self.offsets, self.factors = nn.ParameterList(), nn.ParameterList(), nn.ParameterList()
        for inputs, outputs in itertools.pairwise(WIDTHS):
            start = torch.log(torch.expm1(torch.tensor(1 / scale / outputs)))
            self.matrices.append(nn.Parameter(torch.full((channels, outputs, inputs), float(start))))
            self.offsets.append(nn.Parameter(torch.empty(channels, outputs, 1).uniform_(-0.5, 0.5)))
            if len(self.factors) < len(WIDTHS) - 2:
                self.factors.append(nn.Parameter(torch.zeros(channels, outputs, 1)))

    def bits(self, values: Tensor) -> Tensor:
        """Bits of each value, float32 as `values`, float[batch, channel, row, column]."""
        batch, channels, rows, columns = values.shape
        flat = values.float().transpose(0, 1).reshape(channels, 1, -1)
        low, high = self._logit(flat - 0.5), self._logit(flat + 0.5)
        # The difference of two numbers near 1 has no digits; on the other side of the middle both are near 0.
        side = -torch.sign(low + high).detach()
        likelihood = (torch.sigmoid(side * high) - torch.sigmoid(side * low)).abs().clamp(min=LIKELIHOOD_MIN)
        return (-torch.log2(likelihood)).reshape(channels, batch, rows, columns).transpose(0, 1)

    def _logit(self, values: Tensor) -> Tensor:
        """Logit of the cumulative distribution, float[channel, 1, n]; it never falls."""
        for matrix, offset, factor in itertools.zip_longest(self.matrices, self.offsets, self.factors):
            values = functional.softplus(matrix) @ values + offset
            if factor is not None:
                values = values + torch.tanh(factor) * torch.tanh(values)
        return values
