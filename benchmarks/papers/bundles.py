"""Bundles of networks with random weights and the head of a trained split: what they take does not hang on their weights.

The encoder is that of the recipe `isthmus`, 6 channels of 4 bits at a sixteenth of the picture, the same for every network at
224 pixels. With the weights of a trained one its codes are those of real photos, and so are their bytes; without one its
weights are drawn and scaled over the photos, and bytes are those of drawn codes.
"""

import itertools
import zipfile
from collections.abc import Sequence
from pathlib import Path

import onnx
import torch
from torch import nn

from isthmus.contract.prepare import Preparation
from isthmus.errors import ExportError
from isthmus.export.bottlenecks.bottleneck import Bottleneck, Maker, from_modules
from isthmus.export.bottlenecks.convolutional import ENCODER_WIDTHS, GAIN_START, Decoder
from isthmus.export.cutting.split import Halves
from isthmus.export.exporter import ExportSettings, export
from isthmus.export.graph.flow import dimensions
from isthmus.export.samples import Samples, prepared

CHANNELS, BITS, STEPS = 6, 4, 4
SCALED_OVER = 8
"""Photos over which drawn codes are scaled."""


def make(model: str, cut: str, data: Path, output: Path, head: Path | None) -> Path:
    """Export a bundle, unless it is there.

    Args:
        model: as `isthmus export` takes it.
        cut: a cut of one tensor, which the decoder restores.
        data: folder of photos.
        output: the bundle.
        head: bundle whose head it gets; None draws one.
    """
    if not output.exists():
        output.parent.mkdir(parents=True, exist_ok=True)
        settings = ExportSettings(cut=cut, bottleneck=_maker(head), bits=BITS, data=data, preprocess="imagenet", int8="on")
        export(model, output, settings)
    return output


def _maker(head: Path | None) -> Maker:
    def bottlenecks(halves: Halves, samples: Samples, preparation: Preparation) -> Sequence[Bottleneck]:
        restored = dimensions(halves.head.graph.outputs[0])
        if restored is None or len(restored) != 4:
            raise ExportError("the cut has no fixed channels, rows and columns; name another")
        encoder = _encoder()
        if head is not None:
            _borrow(encoder, head)
        else:
            _scale(encoder, torch.from_numpy(prepared(samples.pictures[:SCALED_OVER], preparation)))
        grid = (preparation.height >> STEPS, preparation.width >> STEPS)
        torch.manual_seed(0)
        decoder = Decoder(CHANNELS, grid, (restored[1], restored[2], restored[3]))
        return [from_modules(halves, encoder, decoder, bits=BITS, replaces_head=True)]

    return bottlenecks


def _encoder() -> nn.Sequential:
    """The encoder of `export.bottlenecks.convolutional` with its batch norms folded in, as a shipped head has it."""
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    for inputs, outputs in itertools.pairwise((3, *ENCODER_WIDTHS[:STEPS])):
        layers += [nn.Conv2d(inputs, outputs, 3, 2, 1), nn.ReLU()]
    return nn.Sequential(*layers, nn.Conv2d(ENCODER_WIDTHS[STEPS - 1], CHANNELS, 1))


def _borrow(encoder: nn.Sequential, bundle: Path) -> None:
    """Take the weights of a bundle's head, convolution by convolution."""
    with zipfile.ZipFile(bundle) as archive:
        graph = onnx.load_from_string(archive.read("head.onnx")).graph
    held = {one.name: torch.from_numpy(onnx.numpy_helper.to_array(one).copy()) for one in graph.initializer}
    theirs = [node for node in graph.node if node.op_type == "Conv"]
    ours = [layer for layer in encoder if isinstance(layer, nn.Conv2d)]
    for node, layer in zip(theirs, ours, strict=True):
        layer.load_state_dict({"weight": held[node.input[1]], "bias": held[node.input[2]]})


def _scale(encoder: nn.Sequential, pictures: torch.Tensor) -> None:
    """Make codes of each channel as wide as those of a trained encoder begin."""
    last = encoder[-1]
    assert isinstance(last, nn.Conv2d)
    assert last.bias is not None
    with torch.no_grad():
        units = encoder(pictures)
        gain = GAIN_START / units.std((0, 2, 3))
        last.bias.copy_((last.bias - units.mean((0, 2, 3))) * gain)
        last.weight.mul_(gain[:, None, None, None])
