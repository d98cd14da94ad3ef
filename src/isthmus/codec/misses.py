"""By how much a prediction missed, as symbols for the entropy coder.

A miss counts modulo 2^bits and is taken between -2^(bits-1) and 2^(bits-1) - 1. Small ones are coded as they are, modulo the size
of the alphabet. Where the alphabet is smaller than that, its middle symbol is an escape: the miss follows in plain bits. So
codes of many bits that seldom leave a few values pay neither bytes nor tables for the values that they never take.
"""

from collections.abc import Sequence

from isthmus.codec.rans import Decoder, Slice
from isthmus.codec.table import PROBABILITY_BITS
from isthmus.errors import MalformedPayload


def slices(miss: int, frequencies: Sequence[int], *, bits: int) -> list[Slice]:
    """How a miss is coded.

    >>> slices(-1, [4000, 90, 5, 1], bits=2)
    [(1, 4095)]
    >>> slices(-2, [4000, 90, 5, 1], bits=3)
    [(5, 4090), (512, 3072)]
    """
    miss = wrap(miss, bits)
    half = len(frequencies) // 2
    if len(frequencies) == 1 << bits or -half < miss < half:
        coded = miss % len(frequencies)
        return [(frequencies[coded], sum(frequencies[:coded]))]
    plain = (1 << PROBABILITY_BITS) >> bits
    return [(frequencies[half], sum(frequencies[:half])), (plain, miss % (1 << bits) * plain)]


def take(decoder: Decoder, frequencies: Sequence[int], *, bits: int) -> int:
    """The next miss.

    Raises:
        MalformedPayload: the body ends in the middle, or holds an escape that was not needed.
    """
    half = len(frequencies) // 2
    coded = decoder.take(frequencies)
    if len(frequencies) == 1 << bits or coded != half:
        return coded if coded < half else coded - len(frequencies)
    miss = wrap(decoder.take_evenly(bits), bits)
    if -half < miss < half:
        raise MalformedPayload(f"a coded body escapes the miss {miss}, which needs no escape; it is damaged")
    return miss


def wrap(miss: int, bits: int) -> int:
    """The same miss between -2^(bits-1) and 2^(bits-1) - 1."""
    half = 1 << bits - 1
    return (miss + half) % (1 << bits) - half
