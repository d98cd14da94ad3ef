"""From the weights of a small language model to its answers over links, and on without the server that was killed.

The model comes with the package: `shakespeare`, trained from scratch by `examples/train_a_language_model.py` on nine tenths of a
text of Shakespeare's plays; a text that it wrote itself is beside it. It shows that export, server, device and measurement work
here, not how well a large model is split.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from isthmus.bench.language.settings import DemoSettings
from isthmus.bench.language.stage import Spoken, Stage
from isthmus.bench.progress import Progress
from isthmus.contract.bundle import LanguageBundle
from isthmus.contract.manifest import Gate
from isthmus.devices.decoder import golden
from isthmus.errors import BundleError

WRITTEN = "written.txt"
"""Text beside the model, by the model; calibrates hidden states."""
LICENCE = "weights trained from scratch on text in the public domain; Apache-2.0"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Demonstrated:
    """All that the demo found.

    Attributes:
        bundles: cut in two, and as a sandwich.
        gates: what `isthmus verify` checks, of both.
        spoken: conversations in order; the last one lost its server.
        text: of the last one, prompts included.
    """

    bundles: tuple[LanguageBundle, LanguageBundle]
    gates: tuple[Gate, ...]
    spoken: tuple[Spoken, ...]
    text: str
    settings: DemoSettings
    wall_s: float


def model_folder() -> Path:
    """The model that comes with the package, as a Hugging Face folder.

    Raises:
        BundleError: it was not installed.
    """
    folder = Path(str(resources.files("isthmus.bench").joinpath("shakespeare")))
    if not (folder / "config.json").is_file():
        raise BundleError(f"{folder} is missing; install isthmus again, from a wheel or a checkout")
    return folder


def demonstrate(
    folder: Path, settings: DemoSettings, *, on_progress: Callable[[Progress], None] = lambda _progress: None
) -> Demonstrated:
    """Run the demo; everything it makes lies in `folder`.

    Raises:
        IsthmusError: a part failed; one line says which.
    """
    started = time.monotonic()
    folder.mkdir(parents=True, exist_ok=True)
    bundles = (
        _export(folder, "head-tail", settings.cut, on_progress),
        _export(folder, "sandwich", settings.sandwich, on_progress),
    )
    on_progress(Progress(part="verifying both bundles"))
    gates = [gate for bundle in bundles for gate in golden.check(bundle, golden.read(bundle))]
    stage = Stage(bundles, settings, on_progress)
    spoken = [stage.alone(), *stage.over_links(), stage.losing_its_server()]
    return Demonstrated(
        bundles=bundles,
        gates=tuple(gates),
        spoken=tuple(spoken),
        text=stage.words.decode(spoken[-1].talk.ids),
        settings=settings,
        wall_s=time.monotonic() - started,
    )


def _export(folder: Path, layout: str, cut: str, on_progress: Callable[[Progress], None]) -> LanguageBundle:
    from isthmus.export.language.exporter import export
    from isthmus.export.language.settings import LanguageSettings

    model = model_folder()
    wanted = LanguageSettings(
        cut=cut,
        layout="sandwich" if layout == "sandwich" else "head-tail",
        head_weights="int8",
        tail_weights="int8",
        local="int8",
        data=model / WRITTEN,
        licence=LICENCE,
    )
    return export(
        model,
        folder / f"shakespeare-{layout}.isthmus",
        wanted,
        on_step=lambda words: on_progress(Progress(part=f"exporting, {layout}: {words}")),
    )
