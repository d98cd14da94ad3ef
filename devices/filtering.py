"""The neural filter's network: loaded from a bundle, checked against the boundary, run on codes."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from isthmus.contract.bundle import Bundle
from isthmus.contract.filter import FILTER, SCORE
from isthmus.devices.runtime import Network
from isthmus.errors import BundleError


class FilterNetwork:
    """Scores codes; on the CPU wherever the head runs, for it is far smaller than a transfer.

    Args:
        bundle: one that has a filter.

    Raises:
        BundleError: there is none, it is damaged, or it does not take the tensors of the boundary.
        DeviceError: onnxruntime is missing.
    """

    def __init__(self, bundle: Bundle) -> None:
        self._network = Network.of_bundle(bundle, FILTER)
        self._names = [tensor.name for tensor in bundle.manifest.boundary.tensors]
        _check(bundle, self._network)

    def score(self, codes: Sequence[np.ndarray]) -> np.ndarray:
        """Scores of some frames.

        Args:
            codes: for each boundary tensor int8 or uint8[n, *shape].

        Returns:
            float32[n], logits: above 0 it is likelier than not that there is something to see.
        """
        return self._network.run(dict(zip(self._names, codes, strict=True)))[SCORE]


def _check(bundle: Bundle, network: Network) -> None:
    """The ports are those of the boundary, with a free batch."""
    wanted = {tensor.name: (tensor.dtype, (None, *tensor.shape)) for tensor in bundle.manifest.boundary.tensors}
    taken = {port.name: (port.dtype, port.shape) for port in network.inputs}
    if taken != wanted:
        raise BundleError(f"{bundle.origin}: {FILTER} takes {_words(taken)}, the boundary is {_words(wanted)}; make it again")
    given = {port.name: (port.dtype, port.shape) for port in network.outputs}
    if given != {SCORE: (np.dtype(np.float32), (None,))}:
        raise BundleError(f"{bundle.origin}: {FILTER} gives {_words(given)}, it has to give {SCORE} float32[any]; make it again")


def _words(ports: Mapping[str, tuple[np.dtype[Any], tuple[int | None, ...]]]) -> str:
    return ", ".join(
        f"{name} {dtype}[{', '.join('any' if size is None else str(size) for size in shape)}]"
        for name, (dtype, shape) in sorted(ports.items())
    )
