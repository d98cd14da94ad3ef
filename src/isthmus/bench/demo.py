"""`isthmus demo`: the main job, from pictures to a measured split, on an embedded default.

It trains a small network, cuts it, trains a bottleneck, exports a bundle, serves it and streams to it over a shaped link, and
measures local, offload and split side by side. A smoke test on a small task: it shows that every part works here, not how good a
split can be.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from isthmus.bench import energy, programs
from isthmus.bench import material as materials
from isthmus.bench.cell import Cell
from isthmus.bench.material import Material
from isthmus.bench.measure import measure
from isthmus.bench.measured import Measured
from isthmus.bench.progress import Progress
from isthmus.bench.stream import Streamed, stream
from isthmus.contract.bundle import Bundle
from isthmus.contract.metric import Metric
from isthmus.devices import link as links
from isthmus.head.gate import MotionGate
from isthmus.head.placement import Local, Offload, Split

BANNER = (
    "A smoke test on a small task. It shows that training, export, server, agent and measurement work on this machine; "
    "it is not the evidence for what a split can do."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoSettings:
    """How much is done, in steps and not in seconds: a slow machine takes longer and gets the same networks."""

    teacher_steps: int = 500
    bottleneck_steps: int = 400
    cut: str = "stage3"
    channels: int = 4
    bits: int = 4
    link: str = "1mbit/20ms"
    jpeg_quality: int = 75
    webp_quality: int = 50
    measure_every: int = 5
    """Of the frames that pass the gate, every so many-th is answered by every placement."""
    stream_fps: float = 90.0
    belts: int = 60
    """Belts of 6000 frames to train on; every eighth frame with a digit is drawn."""
    frames: int = 6000
    """Of the test sequence; some 20 digits pass."""
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Demonstrated:
    """All that the demo found."""

    bundle: Bundle
    material: Material
    teacher: Metric
    measured: Measured
    streamed: Streamed
    settings: DemoSettings
    wall_s: float


def demonstrate(
    folder: Path, data: Path | None, settings: DemoSettings, *, on_progress: Callable[[Progress], None] = lambda _progress: None
) -> Demonstrated:
    """Run the demo; everything it makes lies in `folder`.

    Raises:
        IsthmusError: a part failed; one line says which.
    """
    started = time.monotonic()
    folder.mkdir(parents=True, exist_ok=True)
    on_progress(Progress(part="drawing the pictures" if data is None else "reading the pictures"))
    material = (
        materials.digits(folder, seed=settings.seed, belts=settings.belts, frames=settings.frames)
        if data is None
        else materials.folder_of_pictures(data, folder, seed=settings.seed)
    )
    teacher = _teach(folder, material, settings, on_progress)
    bundle = _export(folder, material, settings, on_progress)
    measured, streamed = _use(folder, bundle, material, settings, on_progress)
    return Demonstrated(
        bundle=bundle,
        material=material,
        teacher=teacher,
        measured=measured,
        streamed=streamed,
        settings=settings,
        wall_s=time.monotonic() - started,
    )


def _teach(folder: Path, material: Material, settings: DemoSettings, on_progress: Callable[[Progress], None]) -> Metric:
    """Train the unsplit network, write it as `teacher.onnx`, measure it on the test sequence."""
    from isthmus.export import samples
    from isthmus.export.training import classifier

    model = classifier.train_classifier(
        samples.read(material.train),
        material.preparation,
        steps=settings.teacher_steps,
        seed=settings.seed,
        on_progress=lambda share, loss: on_progress(Progress(part=f"training the network, loss {loss:.3f}", share=share)),
    )
    classifier.write_onnx(model, material.preparation, folder / "teacher.onnx")
    return classifier.accuracy(model, samples.read(material.test), material.preparation)


def _export(folder: Path, material: Material, settings: DemoSettings, on_progress: Callable[[Progress], None]) -> Bundle:
    from isthmus.export.exporter import ExportSettings, export
    from isthmus.export.training import recipe as recipes
    from isthmus.export.training.distill import Progress as Trained
    from isthmus.export.training.distill import TrainingSettings

    # The pictures are many, so that each is shown as it is: a mirrored digit is another sign. So few steps learn from labels too.
    base = recipes.load()
    answers = recipes.Answers(temperature=2.0, labels=0.3, smoothing=0.1)
    stages = (*base.stages[:-1], base.stages[-1].model_copy(update={"answers": answers}))
    recipe = base.model_copy(update={"views": recipes.Views(), "batch": 32, "stages": stages})

    def show(progress: Trained) -> None:
        loss = "" if progress.loss is None else f", loss {progress.loss:.3f}"
        words = f"training the bottleneck, {progress.stage}{loss}"
        on_progress(Progress(part=words, share=progress.step / progress.steps))

    made = export(
        str(folder / "teacher.onnx"),
        folder / "demo.isthmus",
        ExportSettings(
            cut=settings.cut,
            channels=settings.channels,
            bits=settings.bits,
            data=material.train,
            training=TrainingSettings(recipe=recipe, steps=settings.bottleneck_steps, seed=settings.seed),
            licence="trained by `isthmus demo`",
        ),
        on_step=lambda words: on_progress(Progress(part=words)),
        on_progress=show,
    )
    return made.bundle


def _use(
    folder: Path, bundle: Bundle, material: Material, settings: DemoSettings, on_progress: Callable[[Progress], None]
) -> tuple[Measured, Streamed]:
    profile = links.parse(settings.link)
    cells = [
        Cell(placement=Local(bundle), link=None),
        Cell(placement=Offload("jpeg", settings.jpeg_quality), link=profile),
        Cell(placement=Offload("webp", settings.webp_quality), link=profile),
        # The fairer rival: the split shrinks the picture to the network's input before anything else, so may the picture.
        Cell(placement=Offload("webp", settings.webp_quality, fitted_to=material.preparation), link=profile),
        Cell(placement=Split(bundle), link=profile),
    ]
    measured = measure(
        bundle,
        material.scenes(),
        cells,
        serve=lambda: programs.server(bundle.origin),
        gate=MotionGate() if material.gate else None,
        every=settings.measure_every if material.gate else 1,
        metering=energy.here(),
        on_frame=lambda count: on_progress(
            Progress(part="measuring local, offload and split", share=count / material.stream_frames)
        ),
    )
    with programs.server(bundle.origin) as server:
        on_progress(
            Progress(part=f"streaming with `isthmus run`{f' at {settings.stream_fps:g} frames/s' if material.gate else ''}")
        )
        streamed = stream(
            bundle.origin,
            material.source,
            tail=server.match["grpc"],
            link=profile,
            truths=measured.truths,
            sink=folder / "answers.jsonl",
            fps=settings.stream_fps if material.gate else None,
            gate=material.gate,
            timeout_s=60.0 + material.stream_frames / settings.stream_fps * 2,
        )
    return measured, streamed
