"""The bottleneck `pca`: the principal components of the channels at the cut (Pearson 1901, Hotelling 1933). Nothing is trained.

The covariance of the channels over the positions of calibration pictures is summed up picture by picture; its first k
eigenvectors are the rows of a 1x1 convolution, the transpose brings the channels back and adds the mean. Among all linear
bottlenecks of k channels this one has the least squared error (Eckart and Young 1936). Channels come in the order of their
variance, so that every prefix is the best bottleneck of its size: an operating point. The scales of the quantiser are
folded into both convolutions, and the code 0 stands for the mean.
"""

import logging
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from isthmus.contract.prepare import Preparation
from isthmus.errors import ExportError
from isthmus.export.bottlenecks.activations import Moments, Seen, see
from isthmus.export.bottlenecks.bottleneck import Bottleneck
from isthmus.export.bottlenecks.chain import Chain
from isthmus.export.bottlenecks.layout import BYTES, Layout
from isthmus.export.bottlenecks.quantizer import calibrate
from isthmus.export.cutting.split import Halves
from isthmus.export.samples import Samples

POSITIONS_PER_CHANNEL = 10
"""With fewer positions than so many times the channels the smaller eigenvalues are mostly chance."""
RANK_TOLERANCE = 1e-6
"""Eigenvalues below this part of the largest are rounding errors of float32."""
SPATIAL_MAX = 3
"""Axes beside batch and channel that a convolution takes; more are laid in one."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Components:
    """Principal components of one tensor.

    Attributes:
        mean: float64[channel].
        basis: float64[component, channel], orthonormal rows in the order of their variance.
        explained: the part of the variance that the first 1, 2, ... components keep.
        rank: how many components carry variance at all; `basis` has no more.
    """

    mean: np.ndarray
    basis: np.ndarray
    explained: tuple[float, ...]
    rank: int


def projected(halves: Halves, samples: Samples, preparation: Preparation, *, channels: int, bits: int) -> list[Bottleneck]:
    """Put principal components at every tensor that crosses.

    Args:
        halves: an exact split.
        samples: pictures to find them on.
        preparation: how they become the input.
        channels: components of each tensor; a tensor of lower rank gets as many as it has.
        bits: of a code.

    Raises:
        ExportError: something crosses that is neither float nor of known scale, or no tensor has as many components.
    """
    seen = see(halves, samples, preparation, bits=bits, with_moments=True)
    found = [components(one.moments, channels) for one in seen if one.moments is not None]
    _check_rank(seen, found, channels)
    opset = halves.head.opset_imports[""]
    return [_bottleneck(one, parts, bits, opset) for one, parts in zip(seen, found, strict=True)]


def components(moments: Moments, count: int) -> Components:
    """The first `count` principal components, or as many as there are."""
    mean, covariance = moments.mean, moments.covariance
    variances, vectors = np.linalg.eigh(covariance)
    variances, vectors = np.maximum(variances[::-1], 0.0), vectors[:, ::-1]
    rank = int((variances > RANK_TOLERANCE * max(float(variances[0]), 1e-30)).sum())
    kept = min(count, rank)
    basis = vectors[:, :kept].T
    # The sign of an eigenvector is the solver's whim; with the largest entry positive, equal data give equal codes.
    signs = np.sign(np.take_along_axis(basis, np.abs(basis).argmax(axis=1)[:, None], axis=1))
    explained = np.cumsum(variances[:kept]) / max(float(variances.sum()), 1e-30)
    return Components(mean=mean, basis=basis * signs, explained=tuple(map(float, explained.round(6))), rank=rank)


def _check_rank(seen: list[Seen], found: list[Components], channels: int) -> None:
    most = max(parts.rank for parts in found)
    if most < channels:
        names = ", ".join(one.layout.name for one in seen)
        raise ExportError(
            f"{names} at the cut has {most} principal components on {seen[0].pictures} pictures, --channels {channels} asks for "
            f"more; give --channels {max(1, most)} or fewer, or more pictures"
        )
    for one in seen:
        positions, width = 0 if one.moments is None else one.moments.count, one.layout.shape[0]
        if positions < POSITIONS_PER_CHANNEL * width:
            _log.warning(
                "pca: %d positions of %d pictures are few for the %d channels of %s; more pictures make better components",
                positions,
                one.pictures,
                width,
                one.layout.name,
            )


def _bottleneck(seen: Seen, parts: Components, bits: int, opset: int) -> Bottleneck:
    tensor = seen.layout
    if tensor.data_type in BYTES and tensor.affine is None:
        raise ExportError(f"tensor {tensor.name} at the cut holds 8-bit numbers of unknown scale; use --bottleneck none --bits 8")
    units = (seen.values - parts.mean) @ parts.basis.T
    chosen = calibrate(units, bits, lowest=-1.0)
    scale = chosen.scale.astype(np.float64)[:, None]
    into, offset = parts.basis / scale, -(parts.basis @ parts.mean)[:, None] / scale
    shape = (len(parts.basis), *tensor.shape[1:])
    encoder = _convolution(tensor.opened(), into, offset[:, 0], tensor.shape)
    decoder = _convolution(_codes(tensor, shape), (parts.basis * scale).T, parts.mean, shape)
    return Bottleneck(
        encoder=encoder.model("units", ir.DataType.FLOAT, (*tensor.code_dimensions[:1], *shape), opset=opset),
        decoder=tensor.closed(decoder, opset=opset),
        shape=shape,
        bits=bits,
        is_nested=True,
        explained=parts.explained,
    )


def _codes(tensor: Layout, shape: tuple[int, ...]) -> Chain:
    return Chain("code_values", ir.DataType.FLOAT, (*tensor.code_dimensions[:1], *shape))


def _convolution(chain: Chain, weights: np.ndarray, bias: np.ndarray, shape: tuple[int, ...]) -> Chain:
    """Multiply the channels of a chain of rows `shape` with float[output, input], and add float[output]."""
    spatial = shape[1:]
    kernel, offset = weights.astype(np.float32), bias.astype(np.float32)
    if not spatial:
        return chain.then("Gemm", kernel, offset, transB=1)
    flat = len(spatial) > SPATIAL_MAX
    if flat:
        chain.then("Reshape", np.array([0, shape[0], -1], dtype=np.int64))
    axes = 1 if flat else len(spatial)
    chain.then("Conv", kernel.reshape(*kernel.shape, *([1] * axes)), offset)
    if flat:
        chain.then("Reshape", np.array([0, len(kernel), *spatial], dtype=np.int64))
    return chain
