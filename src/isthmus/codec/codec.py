"""The codec of one bundle: chooses the mode, packs, unpacks, keeps nothing between frames.

`raw` and `zstd` need nothing but the boundary. `intra` and `temporal` need tables, which a bundle carries for each operating
point, and `temporal` the codes of an earlier frame, which the caller keeps: whoever encodes names a frame that the other end has
acknowledged, whoever decodes looks it up.
"""

from collections.abc import Iterable, Sequence

import numpy as np

from isthmus.codec import payload, raw, zstd
from isthmus.codec.payload import Mode
from isthmus.codec.predictive import IS_FAST, Coder, coder
from isthmus.codec.symbols import Symbols, from_codes, to_codes
from isthmus.codec.tables import CodecTables
from isthmus.contract.boundary import Boundary, OperatingPoint, choose_point, point_size
from isthmus.errors import LimitExceeded, MalformedPayload, ReferenceMissing

PLAIN_MODES = (Mode.RAW, Mode.ZSTD)
"""Modes that every end has."""
OVERHEAD_MAX_BYTES = 16
"""No payload is longer than its raw body by more than this: what a mode cannot shorten goes out raw."""
NO_TABLES = CodecTables()


class Codec:
    """Codes to payloads and back, for one boundary and its operating points.

    Args:
        boundary: what crosses.
        points: the bundle's operating points; messages name them by index.
        modes: modes this end may use; default all that the tables allow.
        tables: the bundle's codec tables; without, there is no `intra` and no `temporal`.

    Raises:
        ContractMismatch: a point does not fit the boundary.
    """

    def __init__(
        self,
        boundary: Boundary,
        points: Sequence[OperatingPoint],
        modes: Iterable[int] | None = None,
        *,
        tables: CodecTables = NO_TABLES,
    ) -> None:
        self.boundary = boundary
        self.points = tuple(points)
        known = (*PLAIN_MODES, *tables.modes)
        self.modes = negotiate(known if modes is None else modes, known)
        for point in self.points:
            point_size(boundary, point)
        self._tables = tables
        self._coders: dict[tuple[int, Mode], Coder | None] = {}
        self._raw_bytes = [raw.body_bytes(boundary, point) for point in self.points]

    def encode(self, codes: Sequence[np.ndarray], *, point: int = 0, reference: Sequence[np.ndarray] | None = None) -> bytes:
        """The shortest payload that the negotiated modes give; `zstd` is tried where tables are missing or do not help.

        Args:
            codes: one int8 or uint8 array for each boundary tensor, without a batch axis.
            point: index of the operating point.
            reference: codes of an earlier frame as the other end holds them (see `kept`); None makes a key frame.

        Raises:
            ContractMismatch: the codes are not those of the boundary.
            RemoteProtocolError: there is no such point.
        """
        chosen = choose_point(self.points, point)
        symbols = from_codes(codes, self.boundary, chosen)
        before = None if reference is None else from_codes(reference, self.boundary, chosen)
        made = self._encode_with_tables(symbols, before, point)
        if made is None or len(made[1]) >= self._raw_bytes[point]:
            made = self._encode_plainly(symbols, chosen)
        mode, body = made
        return payload.pack(mode, body, before.data if mode is Mode.TEMPORAL and before is not None else b"")

    def decode(self, data: bytes, *, point: int = 0, reference: Sequence[np.ndarray] | None = None) -> tuple[np.ndarray, ...]:
        """The codes in a payload, exactly as they were encoded; channels that did not cross are 0.

        Args:
            data: one payload.
            point: index of the operating point.
            reference: codes of the frame that the payload says it builds on, as `decode` gave them.

        Raises:
            MalformedPayload: damaged, of a mode that was not negotiated, not of this boundary, or built on another reference.
            ReferenceMissing: the payload is temporal and there is no reference.
            LimitExceeded: longer than any payload of this point.
            RemoteProtocolError: there is no such point.
        """
        chosen = choose_point(self.points, point)
        longest = self._raw_bytes[point] + OVERHEAD_MAX_BYTES + payload.OVERHEAD_BYTES
        if len(data) > longest:
            raise LimitExceeded(
                f"payload of {len(data)} bytes; at point {chosen.name!r} ({point_size(self.boundary, chosen)} codes) "
                f"none is longer than {longest}"
            )
        before = None
        if payload.mode_of(data) == Mode.TEMPORAL and Mode.TEMPORAL in self.modes:
            if reference is None:
                raise ReferenceMissing("a temporal payload names no reference; send a key frame")
            before = from_codes(reference, self.boundary, chosen)
        mode, body = payload.unpack(data, b"" if before is None else before.data)
        if mode not in self.modes:
            raise MalformedPayload(f"payload mode {mode.name.lower()} was not agreed on; agreed: {names(self.modes)}")
        return to_codes(self._decode(mode, body, point, before), self.boundary, chosen)

    def kept(self, codes: Sequence[np.ndarray], *, point: int = 0) -> tuple[np.ndarray, ...]:
        """The codes as the other end will hold them once it has decoded them at `point`; the same arrays where all crosses."""
        whole = []
        for array, channels in zip(codes, choose_point(self.points, point).channels, strict=True):
            held = array
            if channels < len(array):
                held = np.zeros_like(array)
                held[:channels] = array[:channels]
            whole.append(held)
        return tuple(whole)

    def _encode_with_tables(self, symbols: Symbols, before: Symbols | None, point: int) -> tuple[Mode, bytes] | None:
        bodies = []
        for mode in self.modes:
            if mode is Mode.INTRA or (mode is Mode.TEMPORAL and before is not None):
                found = self._coder(point, mode)
                if found is not None:
                    bodies.append((mode, found.encode(symbols, before if mode is Mode.TEMPORAL else None)))
        return min(bodies, key=lambda item: len(item[1])) if bodies else None

    def _encode_plainly(self, symbols: Symbols, point: OperatingPoint) -> tuple[Mode, bytes]:
        bodies = [
            (mode, zstd.encode(symbols) if mode is Mode.ZSTD else raw.encode(symbols, self.boundary, point))
            for mode in self.modes
            if mode in PLAIN_MODES
        ]
        return min(bodies, key=lambda item: len(item[1]))

    def _decode(self, mode: Mode, body: memoryview, point: int, before: Symbols | None) -> Symbols:
        chosen = self.points[point]
        if mode is Mode.RAW:
            return raw.decode(body, self.boundary, chosen)
        if mode is Mode.ZSTD:
            return zstd.decode(body, self.boundary, chosen)
        found = self._coder(point, mode)
        if found is None:
            raise MalformedPayload(f"payload mode {mode.name.lower()} has no tables at point {chosen.name!r}")
        return found.decode(body, before)

    def _coder(self, point: int, mode: Mode) -> Coder | None:
        """Made when it is first needed: most streams stay at one point."""
        key = point, mode
        if key not in self._coders:
            tensors = self._tables.coding(key, self.boundary, self.points[point])
            self._coders[key] = coder(tensors) if tensors else None
        return self._coders[key]


def offered(tables: CodecTables) -> tuple[Mode, ...]:
    """Modes that this end handles in time, best first: those with tables only where the C core is built."""
    fast = tuple(reversed(tables.modes)) if IS_FAST else ()
    return (*fast, Mode.ZSTD, Mode.RAW)


def negotiate(offer: Iterable[int], known: Iterable[int] = PLAIN_MODES) -> tuple[Mode, ...]:
    """Modes that both sides have, in the order of the offer; `raw` is always among them.

    >>> [mode.name for mode in negotiate([4, 2, 99])]
    ['ZSTD', 'RAW']
    """
    understood = set(known)
    agreed = [Mode(mode) for mode in dict.fromkeys(offer) if mode in understood]
    return tuple(agreed if Mode.RAW in agreed else [*agreed, Mode.RAW])


def names(modes: Iterable[Mode]) -> str:
    """Modes in words, for messages."""
    return ", ".join(mode.name.lower() for mode in modes)
