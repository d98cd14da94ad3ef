"""What crosses: the integer codes at the cut, their names, shapes and ranges.

Rules:
- A code is an integer of 1 to 8 bits; it travels and is stored as one byte per code (`int8` or `uint8`), the codec packs.
- The quantiser is symmetric with zero point 0 (TensorRT accepts no other); its scales are constants of the networks.
- The first axis of a boundary tensor is the channel; an operating point is a prefix of the channels, and what is missing is
  filled with the zero code.
"""

import math
from collections.abc import Sequence

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, field_validator

from isthmus.errors import ContractMismatch, RemoteProtocolError

Codes = np.ndarray[tuple[int, ...], np.dtype[np.int8] | np.dtype[np.uint8]]

MAX_AXIS = 65_536
"""Longest axis of a boundary tensor; far above any known network, small enough that products stay in 64 bits."""


class CodeTensor(BaseModel):
    """One tensor of codes that crosses, without its batch axis."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, max_length=512)
    shape: tuple[int, ...] = Field(min_length=1, max_length=8)
    bits: int = Field(ge=1, le=8)
    signed: bool = True

    @field_validator("shape")
    @classmethod
    def _axes_are_positive(cls, shape: tuple[int, ...]) -> tuple[int, ...]:
        if any(not 1 <= axis <= MAX_AXIS for axis in shape):
            raise ValueError(f"every axis must lie in 1..{MAX_AXIS}, got {shape}")
        if math.prod(shape) > 2**31:
            raise ValueError(f"shape {shape} has more than 2^31 codes")
        return shape

    @property
    def channels(self) -> int:
        """Length of the first axis."""
        return self.shape[0]

    @property
    def lowest(self) -> int:
        """Smallest code."""
        return -(1 << (self.bits - 1)) if self.signed else 0

    @property
    def highest(self) -> int:
        """Largest code."""
        return self.lowest + (1 << self.bits) - 1

    @property
    def dtype(self) -> np.dtype[np.int8] | np.dtype[np.uint8]:
        """How one code is stored: int8 if signed, else uint8."""
        return np.dtype(np.int8) if self.signed else np.dtype(np.uint8)

    def size(self, channels: int | None = None) -> int:
        """Number of codes in the first `channels` channels, or in all of them."""
        return (self.channels if channels is None else channels) * math.prod(self.shape[1:])


class Boundary(BaseModel):
    """All tensors that cross at one cut, in the order in which the codec takes them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tensors: tuple[CodeTensor, ...] = Field(min_length=1, max_length=16)

    @field_validator("tensors")
    @classmethod
    def _names_differ(cls, tensors: tuple[CodeTensor, ...]) -> tuple[CodeTensor, ...]:
        names = [tensor.name for tensor in tensors]
        if len(set(names)) != len(names):
            raise ValueError(f"boundary tensors share a name: {names}")
        return tensors

    def check(self, codes: Sequence[np.ndarray]) -> None:
        """Check that `codes` are one frame of this boundary.

        Args:
            codes: one array for each tensor, int8 or uint8 of exactly the declared shape, without a batch axis.

        Raises:
            ContractMismatch: number, dtype, shape or range differ from what is declared.
        """
        if len(codes) != len(self.tensors):
            raise ContractMismatch(f"{len(codes)} tensors cross, the boundary has {len(self.tensors)}")
        for tensor, array in zip(self.tensors, codes, strict=True):
            if array.dtype != tensor.dtype or array.shape != tensor.shape:
                raise ContractMismatch(
                    f"codes {tensor.name!r} are {array.dtype}{list(array.shape)}, "
                    f"the boundary wants {tensor.dtype}{list(tensor.shape)}; use head and tail of one bundle"
                )
            low, high = int(array.min()), int(array.max())
            if low < tensor.lowest or high > tensor.highest:
                raise ContractMismatch(
                    f"codes {tensor.name!r} span {low}..{high}, {tensor.bits} bits allow {tensor.lowest}..{tensor.highest}"
                )


class OperatingPoint(BaseModel):
    """One rate of a bundle: how many leading channels of each boundary tensor cross."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    channels: tuple[int, ...] = Field(min_length=1)
    bytes_mean: float | None = Field(default=None, ge=0)
    """Mean payload over the data named in `evaluation.json`, in bytes."""
    explained_variance: float | None = Field(default=None, ge=0, le=1)
    """Part of the variance at the cut that these channels keep on the calibration pictures; of several tensors the least."""


def point_size(boundary: Boundary, point: OperatingPoint) -> int:
    """Number of codes that cross at `point`.

    Raises:
        ContractMismatch: the point does not fit the boundary.
    """
    if len(point.channels) != len(boundary.tensors):
        raise ContractMismatch(
            f"point {point.name!r} names {len(point.channels)} tensors, the boundary has {len(boundary.tensors)}"
        )
    for tensor, channels in zip(boundary.tensors, point.channels, strict=True):
        if not 1 <= channels <= tensor.channels:
            raise ContractMismatch(f"point {point.name!r} takes {channels} of {tensor.channels} channels of {tensor.name!r}")
    return sum(tensor.size(channels) for tensor, channels in zip(boundary.tensors, point.channels, strict=True))


def choose_point(points: Sequence[OperatingPoint], index: int) -> OperatingPoint:
    """The point at `index`, as a peer named it.

    Raises:
        RemoteProtocolError: there is no such point.
    """
    if not 0 <= index < len(points):
        raise RemoteProtocolError(f"operating point {index} does not exist; the bundle has {len(points)}, counted from 0")
    return points[index]
