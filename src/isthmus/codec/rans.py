"""The specification of the entropy coder: range asymmetric numeral systems (Duda, arXiv:1311.2540, section 3) with fixed tables.

The state lies in 2^16 .. 2^24 - 1 and moves by whole bytes; probabilities have 12 bits. A body begins with the state that the
decoder starts from, 3 bytes, most significant first; the decoder ends with exactly 2^16 and no byte left, or the body is wrong.
"""

from collections.abc import Sequence

from isthmus.codec.table import PROBABILITY_BITS
from isthmus.errors import MalformedPayload

STATE_MIN = 1 << 16
STATE_BYTES = 3

Slice = tuple[int, int]
"""Frequency and start of a symbol: the part of 0..4095 that it owns."""


def encode(slices: Sequence[Slice]) -> bytes:
    """Code symbols given by their slices, in the order in which they will be decoded.

    >>> encode([(2048, 0), (1024, 3072), (4095, 0)]).hex()
    '081410'
    """
    state = STATE_MIN
    backwards = bytearray()
    for frequency, start in reversed(slices):
        while state >= frequency << PROBABILITY_BITS:
            backwards.append(state & 0xFF)
            state >>= 8
        state = (state // frequency << PROBABILITY_BITS) + state % frequency + start
    return state.to_bytes(STATE_BYTES, "big") + bytes(reversed(backwards))


class Decoder:
    """Takes symbols from a body.

    Raises:
        MalformedPayload: the body is too short, or its first state is out of range.
    """

    def __init__(self, body: memoryview) -> None:
        self._body = bytes(body)
        self._next = STATE_BYTES
        self._state = int.from_bytes(self._body[:STATE_BYTES], "big")
        if len(self._body) < STATE_BYTES or self._state < STATE_MIN:
            raise MalformedPayload(f"a coded body of {len(self._body)} bytes starts with the state {self._state:#x}")

    def take(self, frequencies: Sequence[int]) -> int:
        """The next symbol, whose probabilities are `frequencies` / 4096.

        Raises:
            MalformedPayload: the body ends in the middle.
        """
        slot = self._state & ((1 << PROBABILITY_BITS) - 1)
        start = symbol = 0
        while slot >= start + frequencies[symbol]:
            start += frequencies[symbol]
            symbol += 1
        state = frequencies[symbol] * (self._state >> PROBABILITY_BITS) + slot - start
        while state < STATE_MIN:
            if self._next == len(self._body):
                raise MalformedPayload(f"a coded body ends after {len(self._body)} bytes, in the middle")
            state = state << 8 | self._body[self._next]
            self._next += 1
        self._state = state
        return symbol

    def take_evenly(self, bits: int) -> int:
        """The next number of `bits` bits, all of them equally likely.

        Raises:
            MalformedPayload: the body ends in the middle.
        """
        return self.take([(1 << PROBABILITY_BITS) >> bits] * (1 << bits))

    def close(self) -> None:
        """Check that everything was taken.

        Raises:
            MalformedPayload: bytes are left, or the last state is not the one that every body ends with.
        """
        if self._next != len(self._body) or self._state != STATE_MIN:
            left = len(self._body) - self._next
            raise MalformedPayload(f"a coded body ends with {left} bytes left and the state {self._state:#x}; it is damaged")
