"""The golden text of a language model's bundle: token ids, and what the exporting machine's networks made of them.

`golden.npz` holds `ids` int64[row]; `head` and, in the sandwich, `tail` float32[row, width], the hidden states that those
networks gave for all rows; `logits` float32[k, vocabulary] of the last k rows; and `local` float32[k, vocabulary] where there is
a `local.onnx`. Each network is fed with what was recorded of the one before it, so that one that is wrong is named.
"""

import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from isthmus.contract.bundle import LanguageBundle
from isthmus.contract.language import HEAD, LAST, LOCAL, TAIL, Layers, Weights
from isthmus.contract.manifest import Gate
from isthmus.devices.decoder.decoder import Decoder
from isthmus.devices.golden import GOLDEN_NAME
from isthmus.devices.runtime import relative_error
from isthmus.errors import BundleError

ERROR_MAX: dict[Weights, float] = {"float32": 1e-3, "int8": 0.02, "int4": 0.02}
"""Relative to the largest value. float32 sums in another order stay far below; where weights are quantised onnxruntime rounds
activations too, and instruction sets round differently."""
_FIELDS = {HEAD: "head", TAIL: "tail", LAST: "logits", LOCAL: "local"}


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldenText:
    """What `golden.npz` holds.

    Attributes:
        ids: int64[row].
        outputs: by the network's file, float32[row or last rows, width or vocabulary].
    """

    ids: np.ndarray
    outputs: dict[str, np.ndarray]

    def arrays(self) -> dict[str, np.ndarray]:
        """As arrays of an npz file."""
        return {"ids": self.ids} | {_field(name, LAST in self.outputs): array for name, array in self.outputs.items()}


def read(bundle: LanguageBundle) -> GoldenText:
    """Read the golden text of a bundle.

    Raises:
        BundleError: there is none, or it does not fit the manifest.
    """
    path = bundle.path(GOLDEN_NAME)
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            outputs = {name: file[_field(name, bundle.has(LAST))] for name, _, _ in _networks(bundle)}
            text = GoldenText(ids=file["ids"], outputs=outputs)
    except KeyError as error:
        raise BundleError(f"{bundle.origin}: {GOLDEN_NAME} lacks {error.args[0]}; export the bundle again") from error
    except (OSError, ValueError, EOFError, TypeError, zipfile.BadZipFile, zlib.error) as error:
        raise BundleError(f"{bundle.origin}: {GOLDEN_NAME} cannot be read ({error})") from error
    _check_shapes(bundle, text)
    return text


def check(bundle: LanguageBundle, text: GoldenText) -> Iterator[Gate]:
    """Run every network of a bundle on the golden text.

    Raises:
        BundleError: a network is damaged or gives something else.
        DeviceError: onnxruntime cannot run it here.
    """
    for name, before, part in _networks(bundle):
        decoder = Decoder.of_bundle(bundle, name)
        rows = text.ids if before is None else text.outputs[before]
        want = text.outputs[name]
        got = decoder.run(rows, decoder.new_cache(len(rows)), 0, keep=len(want))
        error, limit = relative_error(got, want), ERROR_MAX[part.weights]
        if not error <= limit:
            raise BundleError(f"{bundle.origin} fails the gate '{name}' here: {error:.3g}, at most {limit:g}")
        yield Gate(name=name, value=error, limit=limit, detail=f"{len(want)} of {len(rows)} golden rows, {part.weights}")


def _networks(bundle: LanguageBundle) -> list[tuple[str, str | None, Layers]]:
    """Each network, and the one whose answer it takes."""
    manifest = bundle.manifest
    found = [(HEAD, None, manifest.head), (TAIL, HEAD, manifest.tail), (LAST, TAIL, manifest.last), (LOCAL, None, manifest.local)]
    return [(name, before, part) for name, before, part in found if part is not None]


def _field(name: str, has_last: bool) -> str:
    return "logits" if name == TAIL and not has_last else _FIELDS[name]


def _check_shapes(bundle: LanguageBundle, text: GoldenText) -> None:
    manifest, rows = bundle.manifest, len(text.ids) if text.ids.ndim == 1 else 0
    if not rows or text.ids.dtype != np.int64 or rows > manifest.positions_max:
        raise BundleError(
            f"{bundle.origin}: {GOLDEN_NAME} holds ids {text.ids.dtype}{list(text.ids.shape)}; int64[row] are needed"
        )
    for name, array in text.outputs.items():
        is_last = name in (LOCAL, LAST) or (name == TAIL and manifest.last is None)
        wide = manifest.vocabulary if is_last else manifest.width
        fits = array.dtype == np.float32 and array.ndim == 2 and array.shape[1] == wide and 0 < len(array) <= rows
        if not fits or (not is_last and len(array) != rows):
            raise BundleError(
                f"{bundle.origin}: {GOLDEN_NAME} holds {array.dtype}{list(array.shape)} of {name}, {wide} values a row are needed"
            )
