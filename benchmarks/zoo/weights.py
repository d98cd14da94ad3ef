"""Random weights under which an answer still depends on what a network is shown."""

import torch
from torch import nn

Network = tuple[nn.Module, tuple[torch.Tensor, ...]]
"""What the torch door wants of a factory: a module and its example inputs."""


def settle(module: nn.Module, *inputs: torch.Tensor) -> Network:
    """Draw the convolutions by their fan-in, and give every batch normalisation the statistics of these inputs.

    Libraries start convolutions small, some even the gains of their normalisations, and leave the rest to training. Without
    that the values of a deep network fade until its answer is the last bias, whatever it is shown, and a comparison of two
    such answers would prove nothing. Weights: He et al. 2015, equation 10.

    Returns:
        The module in eval mode, and the first row of the inputs: the door has to find out by itself that it takes more.
    """
    for layer in module.modules():
        if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)):
            nn.init.kaiming_normal_(layer.weight)
    # Detectors freeze theirs: a class of the library's own with the same four buffers.
    layers = [layer for layer in module.modules() if hasattr(layer, "running_var")]
    hooks = [layer.register_forward_pre_hook(_measure) for layer in layers]
    with torch.no_grad():
        module.eval()(*inputs)
    for hook in hooks:
        hook.remove()
    return module, tuple(tensor[:1] for tensor in inputs)


def _measure(layer: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
    """Take the statistics of what a normalisation is about to see, and draw its gain and offset."""
    (features,) = inputs
    layer.running_mean.copy_(features.mean((0, 2, 3)))
    layer.running_var.copy_(features.var((0, 2, 3), correction=0))
    nn.init.uniform_(layer.weight, 0.5, 1.5)
    nn.init.normal_(layer.bias, mean=1.0, std=0.3)
