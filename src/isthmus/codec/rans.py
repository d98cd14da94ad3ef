"""The specification of the entropy coder: range asymmetric numeral systems (Duda, arXiv:1311.2540, section 3) with fixed tables.

The state lies in 2^15 .. 2^31 - 1 and moves by words of 16 bits, never more than one for a symbol; probabilities have 12 bits.
A body begins with the state that the decoder starts from, 4 bytes, then the words that it takes in, all most significant byte
first; the decoder ends with exactly 2^15 and nothing left, or the body is wrong.
"""

from collections.abc import Sequence

from isthmus.codec.table import PROBABILITY_BITS
from isthmus.errors import MalformedPayload

STATE_BITS, WORD_BITS = 15, 16
STATE_MIN = 1 << STATE_BITS
STATE_MAX = (1 << STATE_BITS + WORD_BITS) - 1
STATE_BYTES, WORD_BYTES = 4, 2

Slice = tuple[int, int]
"""Frequency and start of a symbol: the part of 0..4095 that it owns."""


def encode(slices: Sequence[Slice]) -> bytes:
    """Code symbols given by their slices, in the order in which they will be decoded.

    >>> encode([(2048, 0), (1024, 3072), (4095, 0)]).hex()
    '00041408'
    """
    state = STATE_MIN
    backwards: list[bytes] = []
    for frequency, start in reversed(slices):
        if state >= frequency << STATE_BITS + WORD_BITS - PROBABILITY_BITS:
            backwards.append((state % (1 << WORD_BITS)).to_bytes(WORD_BYTES, "big"))
            state >>= WORD_BITS
        state = (state // frequency << PROBABILITY_BITS) + state % frequency + start
    return state.to_bytes(STATE_BYTES, "big") + b"".join(reversed(backwards))


class Decoder:
    """Takes symbols from a body.

    Raises:
        MalformedPayload: the body is too short, or its first state is out of range.
    """

    def __init__(self, body: memoryview) -> None:
        self._body = bytes(body)
        self._next = STATE_BYTES
        self._state = int.from_bytes(self._body[:STATE_BYTES], "big")
        if len(self._body) < STATE_BYTES or not STATE_MIN <= self._state <= STATE_MAX:
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
        if state < STATE_MIN:
            word = self._body[self._next : self._next + WORD_BYTES]
            if len(word) < WORD_BYTES:
                raise MalformedPayload(f"a coded body ends after {len(self._body)} bytes, in the middle")
            state = state << WORD_BITS | int.from_bytes(word, "big")
            self._next += WORD_BYTES
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
