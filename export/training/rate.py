"""What codes cost in bits, by the tables of the shipped codec, with gradients: a rate term for training.

The same numbers as `isthmus.codec.analysis.bits`, computed by torch. Forward, codes are rounded first, so the rate is that of
the codes that would be sent. Backward, the cost of a symbol is a function of its distance from its predicted value, with the
slope between the costs of the next lower and the next higher symbol in the same context. The prediction is linear in earlier
symbols, so a code learns both to be what its neighbours say and to say what its neighbours are. That another context would be
chosen has no gradient.

Sums are float64, for those of a table reach 2^31 and must be exact; kernels are dense over all channels, which suits bottlenecks
of a dozen channels, not tensors of hundreds. While codes are trained their tables go with them, see `tariff`.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from isthmus.codec.analysis import miss_bits
from isthmus.codec.planes import layout
from isthmus.codec.predictor import CHANGE_UNIT, ERROR_SHIFT, EXPECTED_SHIFT, ONE_BITS, VALUE_OFFSET_UNIT
from isthmus.codec.table import NOW, REACH, THRESHOLD_MAX, Sum, Table, fits
from isthmus.contract.boundary import CodeTensor
from isthmus.errors import ContractMismatch

ONE = 1 << ONE_BITS
WINDOW = 2 * REACH + 1


class Rate(nn.Module):
    """Bits of one boundary tensor.

    Args:
        tensor: as in the boundary.
        table: of the codec, `intra` or `temporal`; of the leading channels, or of all.

    Raises:
        ContractMismatch: the table is of another tensor.
    """

    def __init__(self, tensor: CodeTensor, table: Table) -> None:
        super().__init__()
        channels = len(table.channels)
        if channels > tensor.channels or not fits(table, bits=tensor.bits, channels=channels, temporal=table.temporal):
            raise ContractMismatch(
                f"the codec table is of {channels} channels of {table.bits} bits, {tensor.name!r} has {tensor.channels} of "
                f"{tensor.bits}; train tables of this boundary"
            )
        self._layout = layout(tensor, channels)
        self._lowest = tensor.lowest
        self._fractions = table.fractions
        self._temporal = table.temporal
        planes = 1 + table.temporal
        self._first_value = _Sums([one.first_value for one in table.channels], planes, error=False)
        self._value = _Sums([one.value for one in table.channels], planes, error=False)
        self._first_error = _Sums([one.first_error for one in table.channels], planes, error=True)
        self._error = _Sums([one.error for one in table.channels], planes, error=True)
        self._starts: Tensor
        self._thresholds: Tensor
        self._costs: Tensor
        self.register_buffer("_starts", torch.tensor([float(one.start) for one in table.channels], dtype=torch.float64))
        self.register_buffer("_thresholds", torch.tensor(table.thresholds, dtype=torch.float64))
        self.register_buffer("_costs", torch.from_numpy(_costs(table)))

    def forward(self, codes: Tensor, reference: Tensor | None = None) -> Tensor:
        """What every symbol costs.

        Args:
            codes: float[n, channel, ...], rounded or not, all channels of the tensor or the leading ones.
            reference: the same of the frames that a `temporal` table builds on.

        Returns:
            float64[n, channel, row, column] bits; the sum over a frame and some 60 bits of envelope are its payload.

        Raises:
            ContractMismatch: a `temporal` table without a reference.
        """
        symbols = self._symbols(codes)
        if self._temporal and reference is None:
            raise ContractMismatch("a temporal codec table tells the rate of a frame and the one before it; give both")
        before = self._symbols(reference) if self._temporal and reference is not None else None
        with torch.no_grad():
            cost, slope = self._cost_and_slope(self._whole(symbols), None if before is None else self._whole(before))
        distance = symbols - self._predicted(symbols, before) / ONE
        # Its value is that of the rounded symbols, its gradient that of the line through the costs of their neighbours.
        return cost + slope * (distance - distance.detach())

    def _symbols(self, codes: Tensor) -> Tensor:
        kept = codes[:, : self._layout.channels].double() - self._lowest
        return kept.reshape(len(codes), *self._layout.shape)

    def _whole(self, symbols: Tensor) -> Tensor:
        return symbols.round().clamp(0, self._highest)

    @property
    def _highest(self) -> int:
        return (1 << self._layout.bits) - 1

    def _predicted(self, symbols: Tensor, before: Tensor | None) -> Tensor:
        """Values in 1/4096 code."""
        planes = _padded(symbols, self._starts)
        if before is not None:
            planes = torch.cat([planes, _padded(before)], dim=1)
        return _by_row(planes, self._first_value, self._value).clamp(0, self._highest * ONE)

    def _cost_and_slope(self, symbols: Tensor, before: Tensor | None) -> tuple[Tensor, Tensor]:
        value = self._predicted(symbols, before)
        planes = _padded(torch.floor((symbols * ONE - value).abs() / (1 << ERROR_SHIFT)))
        if before is not None:
            planes = torch.cat([planes, _padded((symbols - before).abs() * CHANGE_UNIT)], dim=1)
        expected = torch.floor(_by_row(planes, self._first_error, self._error).clamp(min=0) / (1 << EXPECTED_SHIFT))
        level = torch.bucketize(expected.clamp(max=THRESHOLD_MAX - 1), self._thresholds, right=True)
        nearest = torch.floor((value + ONE // 2) / ONE)
        distance = value - nearest * ONE
        away = torch.where(distance < 0, -1 - distance, distance)
        context = level * self._fractions + torch.floor(away * self._fractions / (ONE // 2)).long()
        sign = torch.where(distance < 0, -1, 1)

        def cost(symbol: Tensor) -> Tensor:
            # A negative index counts from the end: costs are laid out by the miss modulo 2^bits.
            return self._costs[context, (sign * (symbol - nearest)).long() & self._highest]

        low, high = (symbols - 1).clamp(min=0), (symbols + 1).clamp(max=self._highest)
        return cost(symbols), (cost(high) - cost(low)) / (high - low)


class _Sums(nn.Module):
    """One kind of sums of all channels, as a convolution over planes with margins (see `_padded`)."""

    def __init__(self, sums: Sequence[Sum], planes: int, *, error: bool) -> None:
        super().__init__()
        count = len(sums)
        kernel = np.zeros((count, 2 * planes * count, WINDOW, WINDOW))
        for own, summed in enumerate(sums):
            for tap in summed.taps:
                growing = tap.channel == own and (error or tap.plane == NOW) and tap.row == 0
                place = (2 * tap.plane + growing) * count + tap.channel
                kernel[own, place, REACH + tap.row, REACH + tap.column] += tap.weight
        unit = 1 << EXPECTED_SHIFT if error else VALUE_OFFSET_UNIT
        self.kernel: Tensor
        self.offset: Tensor
        self.register_buffer("kernel", torch.from_numpy(kernel))
        self.register_buffer("offset", torch.tensor([float(one.offset * unit) for one in sums], dtype=torch.float64))

    def forward(self, planes: Tensor) -> Tensor:
        return functional.conv2d(planes, self.kernel, self.offset)


def _by_row(planes: Tensor, first: _Sums, below: _Sums) -> Tensor:
    """The first row has sums of its own."""
    top: Tensor = first(planes[:, :, :WINDOW])
    return top if planes.shape[2] == WINDOW else torch.cat([top, below(planes[:, :, 1:])], dim=2)


def _padded(cells: Tensor, starts: Tensor | None = None) -> Tensor:
    """Planes with margins twice: as other rows and channels see them, and as the row in work does (see `analysis.Planes`)."""
    closed = functional.pad(cells, (REACH,) * 4, mode="replicate")
    first = torch.zeros_like(cells[:, :, :1, :1]) if starts is None else starts[None, :, None, None].expand(len(cells), -1, 1, 1)
    left = torch.cat([first, cells[:, :, :-1, :1]], dim=2)
    margin = functional.pad(left, (0, 0, REACH, REACH), mode="replicate").expand(-1, -1, -1, REACH)
    return torch.cat([closed, torch.cat([margin, closed[..., REACH:]], dim=3)], dim=1)


def _costs(table: Table) -> np.ndarray:
    """Bits by context and miss modulo 2^bits, escapes included."""
    half = 1 << table.bits - 1
    context, miss = np.meshgrid(np.arange(len(table.frequencies)), np.arange(2 * half), indexing="ij")
    wrapped = np.where(miss < half, miss, miss - 2 * half)
    return miss_bits(context.astype(np.int32), wrapped.astype(np.int32), table.frequencies, table.bits)
