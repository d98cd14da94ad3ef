"""`isthmus filter`: a bundle with a neural filter, made of one without and of film."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import BarColumn, Progress, TextColumn

from isthmus.bench.words import interval, share, size
from isthmus.cli import guard
from isthmus.cli.bundles import BundleArgument, JsonOption
from isthmus.cli.keys import open_private
from isthmus.cli.quantity import seconds
from isthmus.cli.results import print_json, print_table
from isthmus.errors import UsageError

if TYPE_CHECKING:
    from isthmus.contract.bundle import Bundle
    from isthmus.contract.filter import FilterRecord
    from isthmus.export.filtering.footage import Film, Labels, Shot
    from isthmus.export.filtering.making import FilterSettings
    from isthmus.export.filtering.parting import Part, Stretch
    from isthmus.head.frame import Source

MODEL = "model"


def filter_(
    bundle: BundleArgument,
    film: Annotated[
        list[str],
        typer.Argument(metavar="FILM...", help="Videos, folders of frames, belts, as `isthmus run --source` takes them."),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Bundle to write; a folder unless it ends with .isthmus.")],
    labels: Annotated[
        str,
        typer.Option(
            help="What knows where something is to be seen: model (the bundle's own unsplit network), source (of a belt), "
            "folders (FILM/<class>/<picture>), FILE.csv (columns frame, or first and last; film), FILE.json (COCO)."
        ),
    ] = MODEL,
    watch: Annotated[str, typer.Option(help="Classes of a detector that count, as person,car; default all.")] = "",
    nothing: Annotated[str, typer.Option(help="Classes of a classifier, or class folders, that mean nothing.")] = "",
    calibration: Annotated[
        list[str] | None, typer.Option(help="Whole film for the threshold; repeatable. Default: a part of each FILM.")
    ] = None,
    test: Annotated[
        list[str] | None, typer.Option(help="Whole film for the figures; repeatable. Default: a part of each FILM.")
    ] = None,
    recall: Annotated[float, typer.Option(help="Share of events that shall pass.")] = 0.99,
    confidence: Annotated[float, typer.Option(help="With which the calibration shall show that.")] = 0.95,
    uncertified: Annotated[
        bool, typer.Option("--uncertified", help="Where the events are too few to show the recall, pass all of them and go on.")
    ] = False,
    pause: Annotated[str, typer.Option(help="An event may be interrupted so long.")] = "1s",
    every: Annotated[int, typer.Option(min=1, help="Take every so many-th frame.")] = 1,
    fps: Annotated[float | None, typer.Option(help="Frames per second of folders; default 10.")] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**31 - 1, help="Of training.")] = 0,
    sign: Annotated[Path | None, typer.Option(help="Private key that signs the new bundle.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Train a filter that drops frames in whose codes nothing is to be seen, and write the bundle with it.

    Each film is cut in time into parts for training, for the threshold and for the figures, never within an event. The new bundle
    has another contract digest: device and server both need it, and it has to be signed anew.
    """
    signer = open_private(sign) if sign else None
    pause_s = seconds(pause, "--pause")
    for option, value in (("--recall", recall), ("--confidence", confidence)):
        if not 0 < value < 1:
            raise UsageError(f"{option} {value:g} has to lie between 0 and 1")
    guard.only_warnings()
    from isthmus.contract.bundle import open_bundle
    from isthmus.contract.sealing import sign_bundle
    from isthmus.export.filtering.making import FilterSettings

    settings = FilterSettings(
        recall_min=recall,
        confidence=confidence,
        uncertified=uncertified,
        pause_s=pause_s,
        watched=_names(watch),
        nothing=_names(nothing),
        seed=seed,
    )
    made = add_filter(
        open_bundle(bundle),
        output,
        film,
        settings,
        labels=labels,
        calibration=calibration or (),
        test=test or (),
        every=every,
        fps=fps,
    )
    if signer is not None:
        sign_bundle(output, signer)
    record = made.manifest.filter
    assert record is not None
    if as_json:
        meta = {"command": "filter", "bundle": str(output), "contract_digest": made.digest}
        meta |= record.model_dump(mode="json", exclude={"figures"})
        print_json(meta, [figures.model_dump(mode="json") for figures in record.figures])
        return
    show(record)
    guard.out.print(f"Next: isthmus verify {output}; isthmus run {output} ...", highlight=False)


def add_filter(
    bundle: "Bundle",
    output: Path,
    film: Sequence[str],
    settings: "FilterSettings",
    *,
    labels: str = MODEL,
    calibration: Sequence[str] = (),
    test: Sequence[str] = (),
    every: int = 1,
    fps: float | None = None,
) -> "Bundle":
    """Read film, make a filter of it, write a bundle with it; the options are those of the command."""
    from isthmus.export.filtering import labels as labelling
    from isthmus.export.filtering import making

    told = labelling.choose(labels, bundle, watched=settings.watched, nothing=settings.nothing)
    by_name = labels == labelling.FOLDERS

    def read(references: Sequence[str]) -> "list[Film]":
        return [_read(bundle, one, told, every=every, fps=fps, by_file_name=by_name) for one in references]

    parts: dict[Part, list[Stretch]] = making.part_films(read(film), settings.pause_s, _parts_of_film(calibration, test))
    own: dict[Part, Sequence[str]] = {"calibration": calibration, "test": test}
    for part, references in own.items():
        if references:
            parts[part] = making.part_films(read(references), settings.pause_s, (part,))[part]
    whole = [f"{part}: whole films" for part, references in own.items() if references]
    words = "; ".join(["film cut in time between events", *whole])
    with _bar("training") as advance:
        return making.make(
            bundle,
            output,
            parts,
            settings,
            labels=told.words,
            film=[PurePath(one).name for one in (*film, *calibration, *test)],
            parting_words=words,
            on_step=lambda step: guard.err.print(step, highlight=False),
            on_progress=advance,
        )


def show(record: "FilterRecord") -> None:
    """Print what a filter does."""
    print_table(
        f"Labels: {record.labels}",
        ["part", "frames", "events", "events passed", "95% interval", "frames passed", "empty dropped", "AUC", "saved a drop"],
        [
            [
                one.part,
                f"{one.frames:,}",
                str(one.events),
                share(one.recall_events.value),
                interval(one.recall_events),
                share(one.recall_frames),
                f"{one.empty_dropped:.1%} of {one.empty:,}",
                "-" if one.auc is None else f"{one.auc:.4f}",
                size(one.payload_bytes),
            ]
            for one in record.figures
        ],
    )
    times = f"filter {record.filter_us:.0f} us, head {record.head_us:.0f} us; each drop saves {record.encode_us:.0f} us of coding"
    guard.out.print(f"{times}; {record.flops / 2e6:.2f} MMAC, {record.parameters:,} weights", highlight=False)
    if record.certified:
        guard.out.print(f"Calibration: {record.promise}", highlight=False)
    else:
        guard.err.print(f"The filter is {record.promise}", style="yellow", highlight=False)


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _parts_of_film(calibration: Sequence[str], test: Sequence[str]) -> "tuple[Part, ...]":
    """What FILM is cut into: all that has no film of its own."""
    own: dict[Part, bool] = {"train": False, "calibration": bool(calibration), "test": bool(test)}
    return tuple(part for part, has in own.items() if not has)


def _read(bundle: "Bundle", reference: str, labels: "Labels", *, every: int, fps: float | None, by_file_name: bool) -> "Film":
    from isthmus.export.filtering import footage
    from isthmus.head.source import open_source

    with open_source(reference) as source, _bar(f"reading {PurePath(reference).name}", total=source.length) as advance:
        if source.live:
            raise UsageError(f"{reference} does not end; record it first, for example with a sink of `isthmus run`")
        film = footage.Footage(name=PurePath(reference).name, fps=source.fps, shots=_shots(source))
        total = source.length or 0
        return footage.read(
            bundle,
            film,
            labels,
            every=every,
            fps=fps,
            by_file_name=by_file_name,
            on_frame=lambda count: advance(count * every, total),
        )


def _shots(source: "Source") -> "Iterator[Shot]":
    from isthmus.export.filtering.footage import Shot

    for frame in source:
        truth = frame.label is not None if frame.truth_known else None
        yield Shot(index=frame.sequence, name=frame.name, picture=frame.image, truth=truth)


@contextmanager
def _bar(words: str, total: int | None = None) -> Iterator[Callable[[int, int], None]]:
    """A progress bar on a terminal; gives what moves it: done, and of how many."""
    columns = (TextColumn("{task.description}"), BarColumn())
    with Progress(*columns, console=guard.err, disable=not sys.stderr.isatty(), transient=True) as bar:
        task = bar.add_task(words, total=total, visible=total is not None)
        yield lambda done, of: bar.update(task, completed=done, total=of or None, visible=True)
