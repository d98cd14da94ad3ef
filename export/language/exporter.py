"""A folder in, a bundle of a split language model out.

configuration -> networks in float32, written piece by piece -> gates -> networks in the weights that are shipped -> figures on a
text, calibration, golden text -> bundle; no bundle before every gate has passed.
"""

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from isthmus.codec.hidden.calibration import FILE_NAME, Calibration
from isthmus.contract.bundle import LanguageBundle
from isthmus.contract.bundle_writing import check_target, write_language
from isthmus.contract.language import TEXT_FILES, TOKENIZER, Fidelity
from isthmus.devices.decoder.golden import GoldenText
from isthmus.devices.golden import GOLDEN_NAME
from isthmus.errors import UsageError
from isthmus.export.language import blueprint, fidelity, gates, record
from isthmus.export.language import text as texts
from isthmus.export.language.chain import Chain, OnDisk
from isthmus.export.language.direct import DirectWorkshop
from isthmus.export.language.outline import Outline
from isthmus.export.language.settings import POSITIONS, LanguageSettings
from isthmus.export.language.text import Text
from isthmus.export.language.traced.workshop import TracedWorkshop
from isthmus.export.language.workshop import Built, Workshop

GOLDEN_ROWS, GOLDEN_LOGITS = 32, 4
"""Of the golden text: rows, and last rows whose logits are kept."""


def export(
    folder: Path, output: Path, settings: LanguageSettings, *, on_step: Callable[[str], None] = lambda _words: None
) -> LanguageBundle:
    """Cut the model of a folder between two layers and write a bundle.

    Args:
        folder: Hugging Face's: config.json, safetensors, tokenizer.
        output: bundle to write.
        settings: what to make.
        on_step: told in words what is being done.

    Raises:
        ExportError: the model is damaged, cannot be cut, has weights that nothing takes, or a gate failed.
        UsageError: the cut, the weights, the number of positions or the text does not fit the model.
        BundleError, ConfigError: the output cannot be written.
    """
    check_target(output)
    with tempfile.TemporaryDirectory(prefix="isthmus-export-") as temporary:
        place = Path(temporary)
        workshop = _workshop(folder, place, on_step)
        workshop.check(settings)
        plan = workshop.outline
        parts = settings.parts(plan.layers)
        positions = _positions(settings, plan)
        text = None
        if settings.data is not None:
            text = texts.read(settings.data, folder, vocabulary=plan.vocabulary, positions=positions)
        plain = workshop.plain(parts, positions=positions)
        on_step("comparing them with transformers, token by token")
        passed = (*workshop.gates, *gates.check(workshop, _on_disk(plain), positions=positions))
        float32 = None if text is None else fidelity.score(_on_disk(plain), text)
        split = workshop.shipped(parts, plain, positions=positions)
        local = [workshop.build(part, positions=positions) for part in settings.alone(plan.layers)]
        figures: list[Fidelity] = []
        files = {name: path for one in (*split, *local) for name, path in one.files.items()}
        if text is not None and float32 is not None:
            on_step(f"measuring on {text.measured.size} tokens of {text.name}")
            figures = [fidelity.compare("split", text, fidelity.score(_on_disk(split), text), float32)]
            figures += [fidelity.compare("local", text, fidelity.score(_on_disk([one]), text), float32) for one in local]
            # In the sandwich rows of two cuts cross with one calibration.
            files[FILE_NAME] = _calibrate(split[0], text, place, learns=len(split) == 2)
        files[GOLDEN_NAME] = _save_golden(split, local, plan, place)
        manifest = record.manifest(
            folder, settings, plan, split, local, positions=positions, gates=passed, fidelity=tuple(figures)
        )
        on_step(f"writing {output}")
        return write_language(output, manifest, files | _text_files(folder, on_step))


def _workshop(folder: Path, place: Path, on_step: Callable[[str], None]) -> Workshop:
    kind = DirectWorkshop if blueprint.is_built(folder) else TracedWorkshop
    return kind(folder, place=place, on_step=on_step)


def _positions(settings: LanguageSettings, plan: Outline) -> int:
    wanted = settings.positions or min(POSITIONS, plan.positions_max)
    if wanted > plan.positions_max:
        raise UsageError(f"--positions {wanted} is more than the {plan.positions_max} that the model is made for")
    return wanted


def _on_disk(built: Sequence[Built]) -> list[OnDisk]:
    return [(one.path, one.part.weights) for one in built]


def _calibrate(head: Built, text: Text, place: Path, *, learns: bool) -> Path:
    """What the codec of hidden states has to know of them, from the windows that nothing is measured on."""
    chain = Chain(_on_disk([head]), positions=text.calibration.shape[1])
    rows = []
    for ids in text.calibration:
        chain.restart()
        rows.append(chain.run(ids))
    Calibration.of_rows(np.concatenate(rows), learns=learns).save(place / FILE_NAME)
    return place / FILE_NAME


def _save_golden(split: Sequence[Built], local: Sequence[Built], plan: Outline, place: Path) -> Path:
    ids = np.random.default_rng(1).integers(0, plan.vocabulary, GOLDEN_ROWS)
    outputs: dict[str, np.ndarray] = {}
    for networks in filter(None, (split, local)):
        stages = Chain(_on_disk(networks), positions=GOLDEN_ROWS).stages(ids, keep=GOLDEN_LOGITS)
        outputs |= {one.part.name: rows for one, rows in zip(networks, stages, strict=True)}
    arrays = GoldenText(ids=ids, outputs=outputs).arrays()
    np.savez(place / GOLDEN_NAME, **arrays)  # type: ignore[arg-type]
    return place / GOLDEN_NAME


def _text_files(folder: Path, on_step: Callable[[str], None]) -> dict[str, Path]:
    found = {name: folder / name for name in TEXT_FILES if (folder / name).is_file()}
    if TOKENIZER not in found:
        on_step(f"{folder} has no {TOKENIZER}: the bundle takes and gives token ids, not text")
    return found
