"""What codes cost while they are trained: by tables of the codec that are learned anew as the codes change.

A table tells the cost of codes like those it was learned from. Training towards a lower cost moves the codes, and tables of the
moved codes make the same step cheaper still; so both go on in turns, as entropy models and transforms are trained together in
learned compression (Balle et al. 2018, "Variational Image Compression with a Scale Hyperprior").
"""

import numpy as np
import torch
from torch import Tensor

from isthmus.codec.analysis import Batch
from isthmus.codec.planes import layout
from isthmus.codec.table import Table, read
from isthmus.codec.training import train_table
from isthmus.contract.boundary import CodeTensor
from isthmus.errors import ExportError
from isthmus.export.training.rate import Rate

RENEW_EVERY = 50
"""Steps by the same tables."""
PICTURES = 64
"""That tables are learned from: they cost 0.6% more bits than tables of four times as many (MobileNetV2, 12 channels), and they
take a third of a second."""
CHANNELS_MAX = 64
"""The rate's kernels are dense over the channels; with more, it would take longer than the network that is trained."""


def spread(count: int) -> np.ndarray:
    """Indices of the pictures to learn tables from, int64[...], evenly over `count`: folders come class by class."""
    return np.linspace(0, count - 1, min(count, PICTURES)).round().astype(np.int64)


class Tariff:
    """Mean bits of a code of one boundary tensor in mode `intra`.

    Raises:
        ExportError: the tensor has more than `CHANNELS_MAX` channels.
    """

    def __init__(self, tensor: CodeTensor) -> None:
        if tensor.channels > CHANNELS_MAX:
            raise ExportError(
                f"a rate weight is for bottlenecks of up to {CHANNELS_MAX} channels, this one has {tensor.channels}; leave it out"
            )
        self._tensor = tensor
        self._table: Table | None = None
        self._rate: Rate | None = None

    @property
    def is_set(self) -> bool:
        """Whether there are tables yet."""
        return self._table is not None

    def renew(self, codes: Tensor) -> None:
        """Learn the tables anew from rounded codes, float[picture, channel, row, column]."""
        symbols = codes.cpu().numpy().astype(np.int32) - self._tensor.lowest
        plane = layout(self._tensor, self._tensor.channels)
        self._set(train_table(Batch(symbols.reshape(len(symbols), *plane.shape)), self._tensor.bits))

    def bits(self, codes: Tensor) -> Tensor:
        """Mean over float[batch, channel, row, column], a float32 scalar with gradients; 0 as long as there are no tables."""
        return torch.zeros(()) if self._rate is None else self._rate.to(codes.device)(codes).mean().float()

    def state(self) -> Tensor | None:
        """The tables' words, int16[length], for a checkpoint."""
        return None if self._table is None else torch.from_numpy(self._table.words())

    def restore(self, words: Tensor | None) -> None:
        """Go on with the tables of a checkpoint.

        Raises:
            BundleError: these are no words of a table.
            ContractMismatch: they are of a table for another tensor.
        """
        if words is not None:
            self._set(read(words.numpy()))

    def _set(self, table: Table) -> None:
        self._table = table
        self._rate = Rate(self._tensor, table)
