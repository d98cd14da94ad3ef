"""A folder in, a bundle of a split language model out.

configuration -> networks, written layer by layer -> gates -> golden text -> bundle; no bundle before every gate has passed.
"""

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from isthmus.contract.bundle import LanguageBundle, check_target, write_language
from isthmus.contract.language import HEAD, LAST, TAIL, TEXT_FILES, TOKENIZER
from isthmus.devices.decoder.golden import GoldenText
from isthmus.devices.golden import GOLDEN_NAME
from isthmus.errors import ExportError, UsageError
from isthmus.export.language import blueprint, gates, record
from isthmus.export.language.blueprint import Blueprint
from isthmus.export.language.builder import Builder, Stretch
from isthmus.export.language.chain import Chain
from isthmus.export.language.network import NetworkFile
from isthmus.export.language.settings import POSITIONS, LanguageSettings
from isthmus.export.language.tensors import FolderTensors

NAMES = (HEAD, TAIL, LAST)
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
        ExportError: the model is damaged, not known, has weights that its builder does not know, or a gate failed.
        UsageError: the cut or the number of positions does not fit the model.
        BundleError, ConfigError: the output cannot be written.
    """
    check_target(output)
    plan = blueprint.read(folder)
    stretches = settings.stretches(plan.layers)
    positions = _positions(settings, plan)
    with tempfile.TemporaryDirectory(prefix="isthmus-export-") as temporary:
        networks = _write(folder, Path(temporary), plan, stretches, positions, on_step)
        paths = [network.path for _, network in networks]
        on_step("comparing them with transformers, token by token")
        passed = gates.check(folder, plan, paths, positions=positions)
        manifest = record.manifest(folder, settings, plan, networks, positions=positions, gates=passed)
        files = {name: path for _, network in networks for name, path in network.files.items()}
        files[GOLDEN_NAME] = Path(temporary) / GOLDEN_NAME
        np.savez(files[GOLDEN_NAME], **_golden(plan, paths, positions).arrays())  # type: ignore[arg-type]
        on_step(f"writing {output}")
        return write_language(output, manifest, files | _text_files(folder, on_step))


def _golden(plan: Blueprint, paths: Sequence[Path], positions: int) -> GoldenText:
    ids = np.random.default_rng(1).integers(0, plan.vocabulary, min(GOLDEN_ROWS, positions))
    stages = Chain(paths, positions=positions).stages(ids, keep=GOLDEN_LOGITS)
    return GoldenText(ids=ids, outputs={path.name: rows for path, rows in zip(paths, stages, strict=True)})


def _positions(settings: LanguageSettings, plan: Blueprint) -> int:
    wanted = settings.positions or min(POSITIONS, plan.positions_max)
    if wanted > plan.positions_max:
        raise UsageError(f"--positions {wanted} is more than the {plan.positions_max} that the model is made for")
    return wanted


def _write(
    folder: Path, target: Path, plan: Blueprint, stretches: tuple[Stretch, ...], positions: int, on_step: Callable[[str], None]
) -> list[tuple[Stretch, NetworkFile]]:
    """Write every network, and see that no weight of the model was left over."""
    networks = []
    with FolderTensors(folder) as tensors:
        builder = Builder(plan, tensors, positions=positions)
        for name, stretch in zip(NAMES, stretches, strict=False):
            on_step(f"building {name}, layers {stretch.first} to {stretch.last - 1}")
            networks.append((stretch, builder.write(target / name, stretch)))
        if unread := tensors.unread(tied=plan.tied):
            named = f"{', '.join(unread[:3])}{' and more' if len(unread) > 3 else ''}"
            raise ExportError(f"{folder}: {plan.architecture} has weights that its builder does not know: {named}")
    return networks


def _text_files(folder: Path, on_step: Callable[[str], None]) -> dict[str, Path]:
    found = {name: folder / name for name in TEXT_FILES if (folder / name).is_file()}
    if TOKENIZER not in found:
        on_step(f"{folder} has no {TOKENIZER}: the bundle takes and gives token ids, not text")
    return found
