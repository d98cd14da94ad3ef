"""Stronger networks than the one that is cut, of whose answers the split learns: their mean.

A server runs what no device could, and a few hundred bytes may carry more than the unsplit network makes of them. Several
networks together say it better than each alone (Hinton et al. 2015, "Distilling the Knowledge in a Neural Network").
"""

from collections.abc import Mapping, Sequence

import numpy as np
import onnx_ir as ir

from isthmus.export.graph.session import Session


class Ensemble:
    """Networks whose inputs and outputs are called alike.

    Args:
        models: one or more.

    Raises:
        ExportError: onnxruntime refuses one.
    """

    def __init__(self, models: Sequence[ir.Model]) -> None:
        self._sessions = [Session(model, threads=2) for model in models]

    def answer(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Mean of every output that is a float, by name; others have no mean and are left out.

        A classifier's scores are logarithms, so that this is the geometric mean of its chances.

        Args:
            feeds: arrays[1, ...] by name of the input.
        """
        said = [session.run(feeds) for session in self._sessions]
        means = {name: np.mean([one[name] for one in said], axis=0) for name in said[0]}
        return {name: mean.astype(said[0][name].dtype) for name, mean in means.items() if said[0][name].dtype.kind == "f"}
