"""What the outputs of a classifier say."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from isthmus.contract.manifest import Manifest
from isthmus.errors import ContractMismatch


@dataclass(frozen=True, slots=True, kw_only=True)
class Classification:
    """The likeliest class of one picture."""

    index: int
    label: str
    confidence: float
    """Softmax probability of the class, 0 to 1; the class scores are logits."""


def classify(outputs: Mapping[str, np.ndarray], manifest: Manifest) -> Classification:
    """Read one answer of a classifier.

    Args:
        outputs: the first output of the manifest holds class scores (logits), float[1, class] or float[class].
        manifest: of the bundle that answered.

    Raises:
        ContractMismatch: the outputs are not those of the bundle.
    """
    name = manifest.outputs[0].name
    if name not in outputs:
        raise ContractMismatch(
            f"the answer holds {', '.join(sorted(outputs)) or 'nothing'}, the bundle's first output is {name!r}"
        )
    scores = np.asarray(outputs[name], dtype=np.float64).ravel()
    if not scores.size:
        raise ContractMismatch(f"{name!r} holds no class scores, its shape is {list(np.shape(outputs[name]))}")
    labels = manifest.task.labels
    if labels and len(labels) != scores.size:
        raise ContractMismatch(f"{scores.size} class scores came, the bundle names {len(labels)} labels")
    index = int(scores.argmax())
    confidence = float(1.0 / np.exp(scores - scores[index]).sum())
    return Classification(index=index, label=labels[index] if labels else str(index), confidence=confidence)
