"""An encoder that computes in float32 as its int8 head will: quantisation-aware training.

Weights, and what goes into every layer that has them, are rounded to the grids that `export.int8` gives them; the gradient passes
the rounding (Jacob et al. 2018, "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference").
Weights have a grid for each output channel, so that the batch norm that is folded into them later changes nothing. Activations
have that of the kind `uint8`, over what the batch shows. Whether the int8 head is shipped is decided by measurement all the same.
"""

from torch import Tensor, nn
from torch.func import functional_call

WEIGHTED = (nn.Conv1d, nn.Conv2d, nn.Linear)
"""Layers that become integer kernels."""
SCALE_MIN = 1e-8


def computed(encoder: nn.Module, pictures: Tensor) -> Tensor:
    """Code units of float32[batch, ...] pictures; the encoder's own weights get the gradients."""
    layers = {name: module for name, module in encoder.named_modules() if isinstance(module, WEIGHTED)}
    weights = {f"{name}.weight".lstrip("."): rounded_weights(layer.weight) for name, layer in layers.items()}
    hooks = [layer.register_forward_pre_hook(_round_given) for layer in layers.values()]
    try:
        units: Tensor = functional_call(encoder, weights, (pictures,))
    finally:
        for hook in hooks:
            hook.remove()
    return units


def rounded_weights(weights: Tensor) -> Tensor:
    """float32[output channel, ...] on int8 grids, one for each output channel."""
    largest = weights.detach().abs().flatten(1).amax(1).reshape(-1, *[1] * (weights.dim() - 1))
    scale = (largest / 127).clamp(min=SCALE_MIN)
    return _straight_through(weights, (weights.detach() / scale).round().clamp(-127, 127) * scale)


def rounded_activations(values: Tensor) -> Tensor:
    """float32 of any shape on one uint8 grid, on which 0 is exact."""
    seen = values.detach().float()
    low, high = seen.amin().clamp(max=0), seen.amax().clamp(min=0)
    scale = ((high - low) / 255).clamp(min=SCALE_MIN)
    zero_point = (-low / scale).round()
    return _straight_through(values.float(), ((seen / scale).round() + zero_point).clamp(0, 255).sub(zero_point) * scale)


def _straight_through(values: Tensor, rounded: Tensor) -> Tensor:
    return values + (rounded - values).detach()


def _round_given(_layer: nn.Module, given: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return (rounded_activations(given[0]), *given[1:])
