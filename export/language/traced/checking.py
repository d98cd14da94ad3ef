"""Slices one behind the other are the whole model, in torch: what a family does that slicing does not know shows here.

Layers that look back at what an earlier one kept, embeddings that reach into every layer, states beside keys and values: with
such, a cut model computes something else and does not say so.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from isthmus.contract.language import KeyValues
from isthmus.contract.manifest import Gate
from isthmus.errors import ExportError
from isthmus.export.doors.tracing import quiet
from isthmus.export.language.outline import Outline
from isthmus.export.language.traced import model as models
from isthmus.export.language.traced.slices import Slice

ROWS = 48
"""Of the text that is compared; longer where windows slide."""
ERROR_MAX = 1e-4
"""Of the largest logit."""


def check(folder: Path, model: Any, outline: Outline, parts: Sequence[Slice], *, positions: int) -> Gate:  # noqa: ANN401
    """Compare slices with the whole model on random tokens, in two calls with caches.

    Args:
        folder: of the model, for messages.
        model: whole.
        outline: of it.
        parts: slices in order.
        positions: longest sequence.

    Raises:
        ExportError: they differ, or a slice cannot be computed; the message has the difference.
    """
    longest = max([0, *(window for window in outline.windows if window is not None and window < positions)])
    ids = np.random.default_rng(0).integers(0, outline.vocabulary, min(positions, longest + ROWS))
    whole = models.logits(model, ids, keep=len(ids))
    try:
        split = _in_two_calls(parts, layer_shapes(outline), torch.from_numpy(ids)[None])
    except Exception as reason:  # whatever the traced code raises
        line = (str(reason).strip().splitlines() or [type(reason).__name__])[0]
        raise ExportError(f"{folder}: {outline.architecture} cannot be cut, its layers do not stand alone: {line}") from reason
    error = float(np.abs(split - whole).max() / max(1.0, np.abs(whole).max()))
    if not error <= ERROR_MAX:
        raise ExportError(
            f"{folder}: {outline.architecture} cut between its layers is not the model of transformers: logits differ by "
            f"{error:.2g} of the largest (at most {ERROR_MAX:g}); its layers take more from each other than hidden states"
        )
    return Gate(name="slices equal the whole in torch", value=error, limit=ERROR_MAX, detail=f"{len(ids)} positions, two calls")


def layer_shapes(outline: Outline) -> list[KeyValues]:
    """Of the caches, one entry a layer."""
    return [group for group in outline.key_values for _ in range(group.layers)]


def _in_two_calls(parts: Sequence[Slice], shapes: Sequence[KeyValues], ids: torch.Tensor) -> np.ndarray:
    middle, given = ids.shape[1] // 2, []
    caches = [
        [torch.zeros((1, one.heads, 0, one.width)) for one in shapes[part.stretch.first : part.stretch.last] for _ in range(2)]
        for part in parts
    ]
    with torch.no_grad(), quiet():
        for rows in (ids[:, :middle], ids[:, middle:]):
            for index, part in enumerate(parts):
                kept = [torch.arange(rows.shape[1])] if part.stretch.predicts else []
                rows, *caches[index] = part(rows, *kept, *caches[index])
            given.append(rows)
    return np.asarray(torch.cat(given, dim=1)[0].numpy())
