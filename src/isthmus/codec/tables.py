"""All codec tables of a bundle: `codec.npz`, part of the contract.

The file holds one array `point<p>_<mode>_<t>` of 16-bit words (see `table`) for operating point p, mode `intra` or `temporal` and
boundary tensor t. A point without tables in a mode is not coded in that mode; a bundle without the file has `raw` and `zstd`.
"""

import re
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from isthmus.codec.payload import Mode
from isthmus.codec.planes import layout
from isthmus.codec.predictive import TensorCoding
from isthmus.codec.table import Table, fits, read
from isthmus.contract.boundary import Boundary, OperatingPoint
from isthmus.contract.bundle import Bundle
from isthmus.errors import BundleError

FILE_NAME = "codec.npz"
TABLE_MODES = (Mode.INTRA, Mode.TEMPORAL)
CODES_MAX = 1 << 22
"""Codes of one frame that the modes with tables take: a megabyte of 2-bit codes, and some 40 MB of working memory."""
_NAME = re.compile(r"point(0|[1-9][0-9]{0,3})_(intra|temporal)_(0|[1-9][0-9]?)")

Key = tuple[int, Mode]
"""Index of an operating point, and a mode."""


@dataclass(frozen=True, slots=True)
class CodecTables:
    """Tables by operating point and mode, one for each boundary tensor."""

    tables: Mapping[Key, tuple[Table, ...]] = field(default_factory=dict)

    @property
    def modes(self) -> tuple[Mode, ...]:
        """Modes that some point has tables for."""
        return tuple(mode for mode in TABLE_MODES if any(mode is had for _, had in self.tables))

    def coding(self, key: Key, boundary: Boundary, point: OperatingPoint) -> tuple[TensorCoding, ...]:
        """What a frame at `point` is coded with, tensor by tensor; nothing where there are no tables.

        Raises:
            BundleError: the tables are those of another boundary.
        """
        tables = self.tables.get(key, ())
        if not tables:
            return ()
        if len(tables) != len(boundary.tensors):
            raise BundleError(f"point {point.name!r} has {len(tables)} codec tables for {len(boundary.tensors)} boundary tensors")
        layouts = [layout(tensor, channels) for tensor, channels in zip(boundary.tensors, point.channels, strict=True)]
        if sum(one.size for one in layouts) > CODES_MAX:
            raise BundleError(f"point {point.name!r} has more than {CODES_MAX} codes, too many for codec tables")
        temporal = key[1] is Mode.TEMPORAL
        for described, one, table in zip(boundary.tensors, layouts, tables, strict=True):
            if not fits(table, bits=one.bits, channels=one.channels, temporal=temporal):
                raise BundleError(
                    f"the codec table of {described.name!r} at point {point.name!r} is of {len(table.channels)} channels of "
                    f"{table.bits} bits, {one.channels} of {one.bits} bits cross; export the bundle again"
                )
        return tuple(TensorCoding(one, table) for one, table in zip(layouts, tables, strict=True))

    def arrays(self) -> dict[str, np.ndarray]:
        """As arrays of an npz file."""
        return {
            f"point{point}_{mode.name.lower()}_{index}": table.words()
            for (point, mode), tables in self.tables.items()
            for index, table in enumerate(tables)
        }

    def save(self, path: Path) -> None:
        """Write `codec.npz`; the same tables give the same bytes, for they are part of the contract."""
        with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
            for name, words in sorted(self.arrays().items()):
                with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w") as member:
                    np.lib.format.write_array(member, words.astype("<i2"), allow_pickle=False)


def load(path: Path) -> CodecTables:
    """Read `codec.npz`.

    Raises:
        BundleError: it is damaged, or holds what is no table.
    """
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, TypeError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise BundleError(f"codec tables {path} cannot be read ({error})") from error
    found: dict[Key, dict[int, Table]] = {}
    for name, words in arrays.items():
        match = _NAME.fullmatch(name)
        if match is None:
            raise BundleError(f"codec tables {path} hold {name[:40]!r}; names are as point0_intra_0")
        point, mode, index = match.groups()
        found.setdefault((int(point), Mode[mode.upper()]), {})[int(index)] = read(words)
    return CodecTables({key: _in_order(path, tables) for key, tables in found.items()})


def _in_order(path: Path, tables: Mapping[int, Table]) -> tuple[Table, ...]:
    if sorted(tables) != list(range(len(tables))):
        raise BundleError(f"codec tables {path} are of the tensors {sorted(tables)}; one is missing")
    return tuple(tables[index] for index in range(len(tables)))


def of_bundle(bundle: Bundle) -> CodecTables:
    """The tables of a bundle; empty where it carries none.

    Raises:
        BundleError: they are damaged or do not fit the boundary.
    """
    if not bundle.has(FILE_NAME):
        return CodecTables()
    tables = load(bundle.path(FILE_NAME))
    points: Sequence[OperatingPoint] = bundle.manifest.points
    for key in tables.tables:
        if key[0] >= len(points):
            raise BundleError(f"{bundle.origin} has codec tables for point {key[0]}, and {len(points)} points")
        tables.coding(key, bundle.manifest.boundary, points[key[0]])
    return tables
