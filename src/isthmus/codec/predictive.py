"""Bodies of the modes `intra` and `temporal`: every symbol is predicted, what the prediction missed is entropy-coded.

`coder` gives the C core where it is built and this module's plain Python elsewhere; both read and write the same bytes. Plain
Python takes some 20 us a symbol: enough to check a bundle, far too slow for a camera, so an end without the C core does not offer
these modes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from isthmus.codec import misses, rans
from isthmus.codec.planes import Layout, places
from isthmus.codec.predictor import Predictor
from isthmus.codec.symbols import Symbols
from isthmus.codec.table import Table
from isthmus.errors import LocalProtocolError, MalformedPayload, ReferenceMissing

try:
    from isthmus.codec import _native
except ImportError:
    IS_FAST = False
else:
    IS_FAST = True
    """Whether the C core is built here."""


@dataclass(frozen=True, slots=True)
class TensorCoding:
    """One tensor of a frame, and the table that it is coded with."""

    layout: Layout
    table: Table


class Coder(Protocol):
    """Codes frames of one boundary at one operating point in one mode."""

    def encode(self, symbols: Symbols, reference: Symbols | None) -> bytes:
        """The body of a frame; `reference` are the symbols of an earlier one."""

    def decode(self, body: memoryview, reference: Symbols | None) -> Symbols:
        """The symbols in a body.

        Raises:
            MalformedPayload: the bytes are not a body of these tensors.
            ReferenceMissing: the mode needs a reference and none is given.
        """


def coder(tensors: Sequence[TensorCoding]) -> Coder:
    """The fastest coder that is built here."""
    return NativeCoder(tensors) if IS_FAST else SpecifiedCoder(tensors)


class SpecifiedCoder:
    """The specification, in plain Python."""

    def __init__(self, tensors: Sequence[TensorCoding]) -> None:
        self._tensors = tuple(tensors)

    def encode(self, symbols: Symbols, reference: Symbols | None) -> bytes:
        """See `Coder.encode`."""
        slices: list[rans.Slice] = []
        start = 0
        for tensor in self._tensors:
            part = slice(start, start := start + tensor.layout.size)
            slices += _slices(tensor, symbols[part], _reference(tensor, reference, part))
        return rans.encode(slices)

    def decode(self, body: memoryview, reference: Symbols | None) -> Symbols:
        """See `Coder.decode`."""
        decoder = rans.Decoder(body)
        parts = []
        start = 0
        for tensor in self._tensors:
            part = slice(start, start := start + tensor.layout.size)
            parts.append(_decode(tensor, decoder, _reference(tensor, reference, part)))
        decoder.close()
        return np.concatenate(parts)


def _reference(tensor: TensorCoding, reference: Symbols | None, part: slice) -> np.ndarray | None:
    if not tensor.table.temporal:
        return None
    if reference is None:
        raise ReferenceMissing("a temporal payload came without the frame that it builds on; send a key frame")
    return reference[part].reshape(tensor.layout.shape)


def _slices(tensor: TensorCoding, symbols: Symbols, reference: np.ndarray | None) -> list[rans.Slice]:
    predictor = Predictor(tensor.table, tensor.layout, reference)
    frequencies = tensor.table.frequencies.tolist()
    slices = []
    planes = symbols.reshape(tensor.layout.shape)
    for place in places(tensor.layout):
        symbol = int(planes[place])
        guess = predictor.guess(place)
        miss = guess.sign * (symbol - guess.nearest)
        slices += misses.slices(miss, frequencies[guess.context], bits=tensor.table.bits)
        predictor.learn(place, symbol, guess)
    return slices


def _decode(tensor: TensorCoding, decoder: rans.Decoder, reference: np.ndarray | None) -> Symbols:
    predictor = Predictor(tensor.table, tensor.layout, reference)
    frequencies = tensor.table.frequencies.tolist()
    symbols = np.empty(tensor.layout.shape, dtype=np.uint8)
    for place in places(tensor.layout):
        guess = predictor.guess(place)
        miss = misses.take(decoder, frequencies[guess.context], bits=tensor.table.bits)
        symbols[place] = symbol = (guess.nearest + guess.sign * miss) % (1 << tensor.table.bits)
        predictor.learn(place, symbol, guess)
    return symbols.ravel()


class NativeCoder:
    """The C core.

    Raises:
        LocalProtocolError: it is not built here.
    """

    def __init__(self, tensors: Sequence[TensorCoding]) -> None:
        if not IS_FAST:
            raise LocalProtocolError("the C core of the codec is not built here; install isthmus where there is a C compiler")
        self._temporal = any(tensor.table.temporal for tensor in tensors)
        self._core = _native.Coder(tuple((*tensor.layout.shape, tensor.table.words().tobytes()) for tensor in tensors))

    def encode(self, symbols: Symbols, reference: Symbols | None) -> bytes:
        """See `Coder.encode`."""
        return self._core.encode(symbols.data, None if reference is None else reference.data)

    def decode(self, body: memoryview, reference: Symbols | None) -> Symbols:
        """See `Coder.decode`."""
        if self._temporal and reference is None:
            raise ReferenceMissing("a temporal payload came without the frame that it builds on; send a key frame")
        try:
            return np.frombuffer(self._core.decode(body, None if reference is None else reference.data), dtype=np.uint8)
        except ValueError as error:
            raise MalformedPayload(f"a coded body of {len(body)} bytes cannot be read: {error}") from error
