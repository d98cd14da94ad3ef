"""The neural filter: is there anything to see in the codes of a frame, and so worth sending?

It runs between head network and codec, on what the head has computed anyway (the idea of GHND's neural filter: Matsubara and
Levorato 2020, "Neural Compression and Filtering for Edge-assisted Real-time Object Detection"). A small share of the frames that
it drops goes to the server all the same, as an audit: the answers say what it misses (see `head.audit`).
"""

import random
from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
import structlog

from isthmus.contract.bundle import Bundle
from isthmus.contract.filter import FILTER
from isthmus.devices.filtering import FilterNetwork
from isthmus.errors import BundleError, ConfigError

Verdict = Literal["pass", "audit", "drop"]
AUDIT_SHARE = 0.01
"""Costs a hundredth of what the filter saves; some three missed frames of it already tell that the filter is off."""

_log = structlog.get_logger()


class NeuralFilter:
    """Decides frame by frame.

    Args:
        bundle: one that has a filter.
        head: file of the head whose codes it will see.
        audit_share: share of the dropped frames that is sent all the same, 0 to 1; nothing is audited where the bundle does not
            say which answers mean nothing.
        draw: gives a number from 0 to 1, even, for each dropped frame.

    Raises:
        BundleError: the bundle has no filter, or its file is damaged or does not fit the boundary.
        ConfigError: the share is out of range.
    """

    def __init__(
        self,
        bundle: Bundle,
        *,
        head: str,
        audit_share: float = AUDIT_SHARE,
        draw: Callable[[], float] = random.random,
    ) -> None:
        if not 0 <= audit_share <= 1:
            raise ConfigError(f"the audit takes {audit_share:.4g} of the dropped frames; it has to be 0 to 1")
        record = bundle.manifest.filter
        if record is None:
            raise BundleError(f"{bundle.origin} has no {FILTER}; `isthmus filter` makes one")
        self._network = FilterNetwork(bundle)
        self._threshold = record.threshold
        self._audit_share = audit_share if record.presence is not None else 0.0
        self._draw = draw
        if not record.certified:
            _log.warning(
                "the filter's recall is not certified", wanted=record.recall_min, shown=round(record.recall_shown, 3), of="events"
            )
        if record.head != head:
            _log.warning("the filter was calibrated on the codes of another head", calibrated=record.head, runs=head)

    def decide(self, codes: Sequence[np.ndarray]) -> Verdict:
        """What becomes of a frame.

        Args:
            codes: for each boundary tensor int8 or uint8[*shape].
        """
        score = self._network.score([tensor[np.newaxis] for tensor in codes])[0]
        # A score that is no number says nothing; then the frame had better be seen.
        if not score < self._threshold:
            return "pass"
        return "audit" if self._audit_share and self._draw() < self._audit_share else "drop"
