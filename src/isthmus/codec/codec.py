"""The codec of one bundle: chooses the mode, packs, unpacks, keeps nothing between frames.

`intra` and `temporal` have their numbers on the wire (`payload.Mode`) and their place here: a mode is one entry in `_MODES`.
A temporal mode gets the symbols of the reference frame; `raw` and `zstd` do not look at it.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from isthmus.codec import payload, raw, zstd
from isthmus.codec.payload import Mode
from isthmus.codec.symbols import Symbols, from_codes, to_codes
from isthmus.contract.boundary import Boundary, OperatingPoint, choose_point, point_size
from isthmus.errors import LimitExceeded, MalformedPayload


@dataclass(frozen=True, slots=True, kw_only=True)
class _Coder:
    encode: Callable[[Symbols, Boundary, OperatingPoint], bytes]
    decode: Callable[[memoryview, Boundary, OperatingPoint], Symbols]


_MODES: dict[Mode, _Coder] = {
    Mode.RAW: _Coder(encode=raw.encode, decode=raw.decode),
    Mode.ZSTD: _Coder(encode=lambda symbols, _boundary, _point: zstd.encode(symbols), decode=zstd.decode),
}

OVERHEAD_MAX_BYTES = 16
"""No payload is longer than its raw body by more than this: what a mode cannot shorten goes out raw."""


class Codec:
    """Codes to payloads and back, for one boundary and its operating points.

    Args:
        boundary: what crosses.
        points: the bundle's operating points; messages name them by index.
        modes: modes this end may use; default all that are built in.

    Raises:
        ContractMismatch: a point does not fit the boundary.
    """

    def __init__(self, boundary: Boundary, points: Sequence[OperatingPoint], modes: Iterable[int] = tuple(_MODES)) -> None:
        self.boundary = boundary
        self.points = tuple(points)
        self.modes = negotiate(modes, _MODES)
        for point in self.points:
            point_size(boundary, point)
        self._body_max = [raw.body_bytes(boundary, point) + OVERHEAD_MAX_BYTES for point in self.points]

    def encode(self, codes: Sequence[np.ndarray], *, point: int = 0) -> bytes:
        """The shortest payload that the negotiated modes give.

        Args:
            codes: one int8 or uint8 array for each boundary tensor, without a batch axis.
            point: index of the operating point.

        Raises:
            ContractMismatch: the codes are not those of the boundary.
            RemoteProtocolError: there is no such point.
        """
        chosen = choose_point(self.points, point)
        symbols = from_codes(codes, self.boundary, chosen)
        bodies = ((mode, _MODES[mode].encode(symbols, self.boundary, chosen)) for mode in self.modes)
        mode, body = min(bodies, key=lambda item: len(item[1]))
        return payload.pack(mode, body)

    def decode(self, data: bytes, *, point: int = 0) -> tuple[np.ndarray, ...]:
        """The codes in a payload, exactly as they were encoded; channels that did not cross are 0.

        Raises:
            MalformedPayload: damaged, of a mode that was not negotiated, or not of this boundary.
            LimitExceeded: longer than any payload of this point.
            RemoteProtocolError: there is no such point.
        """
        chosen = choose_point(self.points, point)
        if len(data) > self._body_max[point] + payload.OVERHEAD_BYTES:
            raise LimitExceeded(
                f"payload of {len(data)} bytes; at point {chosen.name!r} ({point_size(self.boundary, chosen)} codes) "
                f"none is longer than {self._body_max[point] + payload.OVERHEAD_BYTES}"
            )
        mode, body = payload.unpack(data)
        if mode not in self.modes:
            raise MalformedPayload(f"payload mode {mode.name.lower()} was not agreed on; agreed: {names(self.modes)}")
        return to_codes(_MODES[mode].decode(body, self.boundary, chosen), self.boundary, chosen)


def negotiate(offered: Iterable[int], known: Iterable[int] = tuple(_MODES)) -> tuple[Mode, ...]:
    """Modes that both sides have, in the order of the offer; `raw` is always among them.

    >>> [mode.name for mode in negotiate([4, 2, 99])]
    ['ZSTD', 'RAW']
    """
    understood = set(known)
    agreed = [Mode(mode) for mode in dict.fromkeys(offered) if mode in understood]
    return tuple(agreed if Mode.RAW in agreed else [*agreed, Mode.RAW])


def names(modes: Iterable[Mode]) -> str:
    """Modes in words, for messages."""
    return ", ".join(mode.name.lower() for mode in modes)
