"""Bytes of every way to carry the codes of one bottleneck: of photos that stand alone, and of films."""

from collections.abc import Callable
from typing import Any

import numpy as np
import zstandard
from benchmarks.codec import mixing
from benchmarks.codec.material import Material
from benchmarks.codec.rivals import lossless

from isthmus.codec import analysis
from isthmus.codec.analysis import Batch
from isthmus.codec.codec import Codec
from isthmus.codec.pairs import make_pairs
from isthmus.codec.payload import Mode
from isthmus.codec.table import Table
from isthmus.codec.tables import CodecTables
from isthmus.codec.training import train_table

MIXED = 400
"""Training frames that the context mixer learns from."""
MIXED_BITS_MAX = 4
MIXED_CODES_MAX = 6_000
"""Codes of a frame that the context mixer goes through; with more it takes longer than all else together."""
TABLES_FROM = 400
"""Training frames that a table for `temporal` is made up from where there are no films."""


def intra_table(material: Material) -> Table:
    """The table of mode `intra`, from the training photos."""
    return train_table(batch(material, material.train), material.tensor.bits)


def batch(material: Material, codes: np.ndarray, reference: np.ndarray | None = None) -> Batch:
    """Codes as the codec's analysis takes them."""
    now = material.symbols(codes).astype(np.int32)
    return Batch(now, None if reference is None else material.symbols(reference).astype(np.int32))


def stills(material: Material, table: Table) -> dict[str, Any]:
    """Mean bytes of a photo kept out of training, by way of carrying it; every stream of the codec is decoded and compared."""
    bits = material.tensor.bits
    symbols = material.symbols(material.test)
    ways = lossless(bits, material.symbols(material.train))
    sizes = {name: _mean(encode, symbols) for name, encode in ways.items()}
    for name, mode in (("raw", Mode.RAW), ("zstd", Mode.ZSTD), ("intra", Mode.INTRA)):
        codec = Codec(material.boundary, material.points, [mode], tables=CodecTables({(0, Mode.INTRA): (table,)}))
        payloads = [codec.encode([codes]) for codes in material.test]
        for data, codes in zip(payloads, material.test, strict=True):
            if not np.array_equal(codec.decode(data)[0], codes):
                raise RuntimeError(f"{material.name}: {name} does not give back what went in")
        sizes[f"isthmus {name}"] = float(np.mean([len(data) for data in payloads]))
    test = batch(material, material.test)
    sizes["intra without frame"] = float(analysis.bits(test, table).sum() / 8 / len(material.test))
    if bits <= MIXED_BITS_MAX and symbols[0].size <= MIXED_CODES_MAX:
        learning, fixed = mixing.bytes_of(batch(material, material.train[:MIXED]), test, table)
        sizes |= {"context mixing": learning, "context mixing, learned beforehand": fixed}
    return sizes


def film(material: Material, name: str, intra: Table) -> dict[str, Any]:
    """Mean bytes of a frame of one film, the first left out; tables for `temporal` come from the other films of its kind.

    "temporal, tables from stills" has tables as `isthmus export` makes them when it sees photos alone.
    """
    codes = material.films[name]
    symbols = material.symbols(codes)
    mask = (1 << material.tensor.bits) - 1
    differences = ((symbols[1:].astype(np.int16) - symbols[:-1]) & mask).astype(np.uint8)
    zstd_3, zstd_19 = (zstandard.ZstdCompressor(level=level, write_content_size=False) for level in (3, 19))
    kind = name.rpartition(" ")[2]
    others = [film for other, film in material.films.items() if other != name and other.endswith(kind)]
    now, before = (np.concatenate([one[part] for one in others]) for part in (slice(1, None), slice(None, -1)))
    temporal = train_table(batch(material, now, before), material.tensor.bits)
    made_up = train_table(
        make_pairs(batch(material, material.train[:TABLES_FROM]).now, material.tensor.bits), material.tensor.bits
    )
    return {
        "codes that stay": float(np.mean(symbols[1:] == symbols[:-1])),
        "zstd 3": _mean(lambda one: len(zstd_3.compress(one.tobytes())), symbols[1:]),
        "zstd 3 of differences": _mean(lambda one: len(zstd_3.compress(one.tobytes())), differences),
        "zstd 19 of differences": _mean(lambda one: len(zstd_19.compress(one.tobytes())), differences),
        "isthmus intra": _film_bytes(material, codes, [Mode.INTRA], intra, temporal),
        "isthmus temporal": _film_bytes(material, codes, [Mode.TEMPORAL, Mode.INTRA], intra, temporal),
        "isthmus temporal, tables from stills": _film_bytes(material, codes, [Mode.TEMPORAL, Mode.INTRA], intra, made_up),
    }


def _film_bytes(material: Material, codes: np.ndarray, modes: list[Mode], intra: Table, temporal: Table) -> float:
    tables = CodecTables({(0, Mode.INTRA): (intra,), (0, Mode.TEMPORAL): (temporal,)})
    codec = Codec(material.boundary, material.points, modes, tables=tables)
    sizes = []
    for now, before in zip(codes[1:], codes, strict=False):
        reference = [before] if Mode.TEMPORAL in modes else None
        data = codec.encode([now], reference=reference)
        if not np.array_equal(codec.decode(data, reference=reference)[0], now):
            raise RuntimeError(f"{material.name}: a film does not come back as it went in")
        sizes.append(len(data))
    return float(np.mean(sizes))


def _mean(encode: Callable[[np.ndarray], int], frames: np.ndarray) -> float:
    return float(np.mean([encode(one) for one in frames]))
