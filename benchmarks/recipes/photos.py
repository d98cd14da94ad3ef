"""Photos to learn from and to report on, and the network that knows nothing."""

import numpy as np
import torch
from benchmarks.codec import networks, pictures
from benchmarks.recipes.plan import Scale

from isthmus.export.samples import Samples

CLASSES = 10
BLOCKS = 1
"""Of each of the three stages of the network that knows nothing."""


def read(scale: Scale) -> tuple[Samples, Samples]:
    """Photos of CIFAR-10's training part to learn from, and of its test part to report on; noise for a trial."""
    if scale.name == "full":
        learning = pictures.cifar(networks.DATA, "train.npz", scale.learning)
        return learning, pictures.cifar(networks.DATA, "test_dev.npz", scale.reporting)
    return _noise(scale.learning, 0), _noise(scale.reporting, 1)


def _noise(count: int, seed: int) -> Samples:
    shown = list(np.random.default_rng(seed).integers(0, 256, (count, 32, 32, 3), np.uint8))
    names = tuple(map(str, range(CLASSES)))
    return Samples(pictures=shown, labels=np.arange(count) % CLASSES, names=names, origin=f"noise {seed}")


def tiny() -> tuple[torch.nn.Module, tuple[torch.Tensor, ...]]:
    """A small network with random weights."""
    torch.manual_seed(0)
    return networks.ResNet(BLOCKS), (torch.zeros(2, 3, 32, 32),)


def write(samples: Samples, path: str) -> None:
    """As `--data FILE.npz` takes them."""
    assert samples.labels is not None
    images = np.stack([picture[..., ::-1] for picture in samples.pictures])
    np.savez(path, images=images, labels=samples.labels, names=np.array(samples.names))
