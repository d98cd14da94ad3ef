"""Which of the many cuts of a network a reader wants to see."""

from collections.abc import Sequence

from isthmus.export.cutting.cuts import Cut

MAX_TENSORS = 4
"""More tensors than these at once are the skips of a whole network, not a narrow place."""


def crossing_count(cut: Cut) -> int:
    """How many tensors cross, inputs of the model included."""
    return len(cut.tensors) + len(cut.inputs_crossing)


def shortlist(cuts: Sequence[Cut], *, max_tensors: int = MAX_TENSORS) -> list[Cut]:
    """Choose the cuts worth showing, in their order.

    Where no arithmetic lies between cuts only the narrowest is kept; of equals one that can become codes, and then the last. Of
    those, every cut of a single tensor stays, and of the cuts of several the ones that are narrower than every cut of a single
    tensor before them. Cuts of unknown size stay only where no size is known at all.

    Args:
        cuts: of one model, in order.
        max_tensors: most tensors that may cross at once.
    """
    allowed = [cut for cut in cuts if crossing_count(cut) <= max_tensors]
    measured = [cut for cut in allowed if cut.bytes is not None]
    if not measured:
        return allowed
    kept: list[Cut] = []
    narrowest: int | None = None
    for cut in _one_between_arithmetic(measured):
        if cut.is_single:
            narrowest = _size(cut) if narrowest is None else min(narrowest, _size(cut))
            kept.append(cut)
        elif narrowest is None or _size(cut) < narrowest:
            kept.append(cut)
    return kept


def _one_between_arithmetic(cuts: Sequence[Cut]) -> list[Cut]:
    """For each amount of FLOPs the narrowest single tensor, and the narrowest group of several if it is narrower still."""
    kept: list[Cut] = []
    for flops in dict.fromkeys(cut.flops_before for cut in cuts):
        here = [cut for cut in cuts if cut.flops_before == flops]
        single = min((cut for cut in here if cut.is_single), key=_narrowest_then_last, default=None)
        several = min((cut for cut in here if not cut.is_single), key=_narrowest_then_last, default=None)
        if single is not None:
            kept.append(single)
        if several is not None and (single is None or _size(several) < _size(single)):
            kept.append(several)
    return sorted(kept, key=lambda cut: cut.index)


def _narrowest_then_last(cut: Cut) -> tuple[int, bool, int]:
    return (_size(cut), not cut.can_be_codes, -cut.index)


def _size(cut: Cut) -> int:
    return cut.bytes or 0
