"""How often the likeliest token stays the same when hidden states cross compressed, on a text that nothing was calibrated on.

Head and tail are in float32 on both sides of the comparison, so that it shows the codec alone. Every row of a window crosses
compressed, so that the tail's cache is made of compressed rows too.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.llm.models import Say, bundle_of

from isthmus.codec.hidden.calibration import Calibration, of_bundle
from isthmus.codec.hidden.codec import MODES, HiddenCodec
from isthmus.codec.payload import Mode
from isthmus.contract.bundle import LanguageBundle
from isthmus.contract.language import HEAD, TAIL
from isthmus.contract.metric import proportion
from isthmus.devices.decoder.decoder import Decoder
from isthmus.export.language import text as texts
from isthmus.export.language.settings import LanguageSettings


def measure(folder: Path, data: Path, place: Path, *, name: str, cuts: Sequence[int], say: Say) -> list[dict[str, Any]]:
    """A row for every cut and mode.

    Args:
        folder: of the model.
        data: text; the exporter parts it into windows to calibrate on and others to measure on.
        place: where bundles are kept.
        name: of the model, on the page.
        cuts: layers of the head.
        say: told what is done.
    """
    found = []
    for cut in cuts:
        bundle = bundle_of(folder, place, LanguageSettings(cut=str(cut), data=data), say=say)
        manifest = bundle.manifest
        text = texts.read(data, folder, vocabulary=manifest.vocabulary, positions=manifest.positions_max)
        found += [{"model": name, **row} for row in of_bundle_on(bundle, text.measured, data.name)]
    return found


def of_bundle_on(bundle: LanguageBundle, windows: np.ndarray, name: str) -> list[dict[str, Any]]:
    """A row for every mode, and one for int4 as it is without learned directions.

    Args:
        bundle: whose head and tail are taken.
        windows: int64[window, token].
        name: of the text.
    """
    head, tail = (Decoder.of_bundle(bundle, part) for part in (HEAD, TAIL))
    calibration = of_bundle(bundle, bundle.manifest.width)
    crossing = [_hidden(head, ids) for ids in windows]
    plain = np.stack([_best(tail, rows) for rows in crossing])
    tried = [(mode.name.removeprefix("HIDDEN_").lower(), HiddenCodec(calibration), mode) for mode in MODES[::-1]]
    if calibration.principal is not None:
        rotating = Calibration(calibration.mean, calibration.signs)
        tried.append(("int4, rotation instead of directions", HiddenCodec(rotating), Mode.HIDDEN_INT4))
    found = []
    for called, codec, mode in tried:
        best = np.stack([_best(tail, codec.decode(codec.encode(rows, mode), len(rows))) for rows in crossing])
        found.append(_row(bundle, called, name, int((best == plain).sum()), plain.size, codec.payload_bytes(1, mode)))
    return found


def _row(bundle: LanguageBundle, mode: str, text: str, same: int, tokens: int, size: int) -> dict[str, Any]:
    share = proportion("agreement", same, tokens)
    return {
        "kind": "agreement",
        "cut": bundle.manifest.cut,
        "layers": bundle.manifest.layers,
        "mode": mode,
        "text": text,
        "tokens": tokens,
        "bytes": size,
        "agreement": share.value,
        "low": share.low,
        "high": share.high,
    }


def _hidden(head: Decoder, ids: np.ndarray) -> np.ndarray:
    return head.run(ids, head.new_cache(len(ids)), 0)


def _best(tail: Decoder, rows: np.ndarray) -> np.ndarray:
    """int64[row], likeliest token behind each."""
    return np.asarray(tail.run(rows, tail.new_cache(len(rows)), 0).argmax(-1))
