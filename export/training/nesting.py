"""Nested channels: one encoder and one decoder whose first channels are a bottleneck too.

In every step some pictures of the batch are shown with the first channels alone, as an operating point of fewer channels sends
them, and the others with all: nested dropout (Rippel et al. 2014, "Learning Ordered Representations with Nested Dropout") over
the widths that will be used (Yu et al. 2019, "Slimmable Neural Networks"). Slimmable networks need batch norms of their own for
each width, for statistics of one width are wrong for another. Here the widths are mixed within every batch, so that the
statistics are those of the mixture, while training and afterwards, and the server need not know which point it decodes.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

FULL_SHARE = 0.5
"""Of the pictures that are shown with all channels; the other points share the rest."""


def thinned(codes: Tensor, counts: Sequence[int]) -> Tensor:
    """Codes as drawn operating points send them.

    Args:
        codes: float32[batch, channel, row, column].
        counts: channels of the points, all of them first.

    Returns:
        The same with code 0 in the channels that the point leaves out; a point is drawn for each picture.
    """
    if len(counts) < 2:
        return codes
    chances = torch.full((len(counts),), (1 - FULL_SHARE) / (len(counts) - 1))
    chances[0] = FULL_SHARE
    kept = torch.tensor(counts)[torch.multinomial(chances, len(codes), replacement=True)]
    is_kept = torch.arange(codes.shape[1])[None] < kept[:, None]
    return codes * is_kept[:, :, None, None]
