"""What int4 needs to know of a model's hidden states at its cut: `hidden.npz`, part of the contract.

mean    float32[width]    of each channel over the rows of a calibration text; it is taken off before the rotation
signs   int8[width]       1 and -1, by which channels are flipped in front of the rotation

and, where they were learned instead of the rotation (see `principal`):

basis   float32[width, width]   directions, the one of most variance in the first column
bits    uint8[width / 32]       of each block of 32 directions
"""

import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from isthmus.codec.hidden import principal
from isthmus.codec.hidden.principal import Principal
from isthmus.contract.bundle import AnyBundle
from isthmus.errors import BundleError

FILE_NAME = "hidden.npz"
WIDTH_MAX = 1 << 16
"""Four times the widest model there is."""
_ARRAYS, _LEARNED = ("mean.npy", "signs.npy"), ("basis.npy", "bits.npy")
_MEMBER_MAX_BYTES = 4 * WIDTH_MAX + 1024
_BASIS_MAX_BYTES = 4 * principal.WIDTH_MAX**2 + 1024


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """`mean` and `signs`, float32[channel], and directions where they were learned."""

    mean: np.ndarray
    signs: np.ndarray
    principal: Principal | None = None

    @property
    def width(self) -> int:
        """Channels of a row."""
        return len(self.mean)

    @classmethod
    def neutral(cls, width: int) -> Self:
        """For a model without a calibration: nothing is taken off, nothing is flipped."""
        return cls(np.zeros(width, np.float32), np.ones(width, np.float32))

    @classmethod
    def of_rows(cls, rows: np.ndarray, *, learns: bool = True, seed: int = 0) -> Self:
        """Learn from hidden states.

        Args:
            rows: float32[row, channel], of a text like those that will come.
            learns: whether directions are learned, where there are rows enough. Not where rows of another cut cross as well.
            seed: of the signs, which are random: a pattern that the transform itself has would pile up in one channel.
        """
        signs = np.random.default_rng(seed).choice(np.array([-1, 1], np.float32), rows.shape[1])
        mean = rows.mean(axis=0, dtype=np.float64).astype(np.float32)
        return cls(mean, signs, Principal.of_rows(rows.astype(np.float64) - mean) if learns else None)

    def save(self, path: Path) -> None:
        """Write `hidden.npz`; the same calibration gives the same bytes, for it is part of the contract."""
        arrays = dict(zip(_ARRAYS, (self.mean.astype("<f4"), self.signs.astype("i1")), strict=True))
        if self.principal is not None:
            arrays |= zip(_LEARNED, (self.principal.basis.astype("<f4"), self.principal.bits), strict=True)
        with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
            for name, array in arrays.items():
                with archive.open(zipfile.ZipInfo(name), "w") as member:
                    np.lib.format.write_array(member, array, allow_pickle=False)


def load(path: Path) -> Calibration:
    """Read `hidden.npz`.

    Raises:
        BundleError: it is damaged, or is no calibration.
    """
    try:
        _check_sizes(path)
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            mean, signs = (file[name.removesuffix(".npy")] for name in _ARRAYS)
            learned = [file[name.removesuffix(".npy")] for name in _LEARNED if name.removesuffix(".npy") in file]
    except (OSError, ValueError, EOFError, TypeError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise BundleError(f"hidden-state calibration {path} cannot be read ({error}); export the bundle again") from error
    if mean.dtype != np.float32 or mean.ndim != 1 or signs.dtype != np.int8 or signs.shape != mean.shape or not len(mean):
        raise BundleError(
            f"hidden-state calibration {path} holds {mean.dtype}{list(mean.shape)}, {signs.dtype}{list(signs.shape)}"
        )
    if not np.isfinite(mean).all() or (np.abs(signs) != 1).any():
        raise BundleError(f"hidden-state calibration {path} holds a mean that is no number, or a sign that is not 1 or -1")
    return Calibration(mean.astype(np.float32), signs.astype(np.float32), _principal(path, len(mean), learned))


def _principal(path: Path, width: int, learned: list[np.ndarray]) -> Principal | None:
    if not learned:
        return None
    basis, bits = learned
    blocks = width // principal.BLOCK
    fits = basis.dtype == np.float32 and basis.shape == (width, width) and bits.dtype == np.uint8 and bits.shape == (blocks,)
    if width % principal.BLOCK or not fits:
        raise BundleError(
            f"hidden-state calibration {path} holds {basis.dtype}{list(basis.shape)} and {bits.dtype}{list(bits.shape)} for "
            f"{width} channels"
        )
    # Columns of another length would make rows larger or smaller on their way.
    is_orthonormal = np.isfinite(basis).all() and np.allclose(basis.T @ basis, np.eye(width), atol=1e-3)
    if not is_orthonormal or bits.max() > principal.BITS_MAX or bits.sum() != principal.BITS_MEAN * blocks:
        raise BundleError(f"hidden-state calibration {path} holds directions that are not orthonormal, or other than four bits")
    return Principal(basis, bits)


def of_bundle(bundle: AnyBundle, width: int) -> Calibration:
    """The calibration of a bundle whose hidden states have `width` channels; neutral where it carries none.

    Raises:
        BundleError: it is damaged, or of another width.
    """
    if not bundle.has(FILE_NAME):
        return Calibration.neutral(width)
    found = load(bundle.path(FILE_NAME))
    if found.width != width:
        raise BundleError(f"{bundle.origin}: {FILE_NAME} is of {found.width} channels, the model has {width}; export it again")
    return found


def _check_sizes(path: Path) -> None:
    """No size is believed before it is compared with the widest model."""
    with zipfile.ZipFile(path) as archive:
        if sorted(info.filename for info in archive.infolist()) not in (sorted(_ARRAYS), sorted(_ARRAYS + _LEARNED)):
            raise ValueError(f"it does not hold just {' and '.join(_ARRAYS)}")
        if any(info.file_size > _most_bytes(info.filename) for info in archive.infolist()):
            raise ValueError(f"it is of more than {WIDTH_MAX} channels, or has directions of more than {principal.WIDTH_MAX}")


def _most_bytes(name: str) -> int:
    return _BASIS_MAX_BYTES if name == _LEARNED[0] else _MEMBER_MAX_BYTES
