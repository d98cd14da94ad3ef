"""Two classifiers of clothes on the features of an ImageNet MobileNetV2: the whole network, and its first blocks alone.

Only their last layers are trained, by logistic regression on pooled features: a minute, and the same on every machine. The
shorter one is what the device answers with by itself.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx_ir as ir
import torch
from benchmarks.codec.networks import DEVIATION, MEAN, mobilenet_v2
from sklearn.linear_model import LogisticRegression
from torch import nn

from isthmus.contract.prepare import Preparation, prepare
from isthmus.export.doors import equality, tracing
from isthmus.export.samples import Samples

PREPARATION = Preparation(width=224, height=224, fit="crop", mean=MEAN, standard_deviation=DEVIATION)
WHOLE_BLOCKS, LOCAL_BLOCKS = 19, 14
"""Of MobileNetV2; the first 14 are 96 channels of 14x14 and 60% of the arithmetic."""
_BATCH = 16
_REGULARISATION = 0.01
"""scikit-learn's C, on features of unit variance: strong, since there are about as many features as pictures."""


class Classifier(nn.Module):
    """Blocks, the mean over places, a linear layer."""

    def __init__(self, blocks: nn.Sequential, channels: int, classes: int) -> None:
        super().__init__()
        self.blocks = blocks
        self.linear = nn.Linear(channels, classes)

    def forward(self, picture: torch.Tensor) -> torch.Tensor:
        """float[batch, 3, 224, 224] to scores float[batch, class]."""
        scores: torch.Tensor = self.linear(self.blocks(picture).mean((2, 3)))
        return scores


def write(samples: Samples, folder: Path) -> None:
    """Fit both on labelled pictures; `whole.onnx` and `local.onnx` go to the folder."""
    assert samples.labels is not None
    network, _ = mobilenet_v2()
    blocks = network.eval().features
    assert isinstance(blocks, nn.Sequential)
    features = _features(blocks, samples.pictures)
    for name, count in (("whole", WHOLE_BLOCKS), ("local", LOCAL_BLOCKS)):
        model = _fitted(blocks[:count], features[count], samples.labels, len(samples.names))
        _write_onnx(model, folder / f"{name}.onnx")


def _features(blocks: nn.Sequential, pictures: Sequence[np.ndarray]) -> dict[int, np.ndarray]:
    """Pooled features after each of the two counts of blocks, float[picture, channel]."""
    found: dict[int, list[np.ndarray]] = {WHOLE_BLOCKS: [], LOCAL_BLOCKS: []}
    for first in range(0, len(pictures), _BATCH):
        batch = np.concatenate([prepare(picture, PREPARATION) for picture in pictures[first : first + _BATCH]])
        with torch.inference_mode():
            early = blocks[:LOCAL_BLOCKS](torch.from_numpy(batch))
            late = blocks[LOCAL_BLOCKS:](early)
        found[LOCAL_BLOCKS].append(early.mean((2, 3)).numpy())
        found[WHOLE_BLOCKS].append(late.mean((2, 3)).numpy())
    return {count: np.concatenate(parts) for count, parts in found.items()}


def _fitted(blocks: nn.Sequential, features: np.ndarray, labels: np.ndarray, classes: int) -> Classifier:
    mean, deviation = features.mean(0), features.std(0) + 1e-6
    regression = LogisticRegression(C=_REGULARISATION, max_iter=2000).fit((features - mean) / deviation, labels)
    model = Classifier(blocks, features.shape[1], classes)
    weights = regression.coef_ / deviation
    with torch.no_grad():
        model.linear.weight.copy_(torch.from_numpy(weights))
        model.linear.bias.copy_(torch.from_numpy(regression.intercept_ - weights @ mean))
    return model.eval()


def _write_onnx(model: Classifier, path: Path) -> None:
    exported = tracing.to_onnx(model, (torch.rand(2, *PREPARATION.shape[1:], generator=torch.Generator().manual_seed(0)),))
    equality.check_equal(model, exported.model, exported.feeds)
    exported.model.graph.inputs[0].name = "picture"
    exported.model.graph.outputs[0].name = "scores"
    ir.save(exported.model, path)
