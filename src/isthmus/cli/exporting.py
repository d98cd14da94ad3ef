"""`isthmus export`."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from isthmus.bench.words import size
from isthmus.cli import cut_costs, filtering, guard, language
from isthmus.cli.bundles import JsonOption, RuntimeOption
from isthmus.cli.keys import open_private
from isthmus.cli.quantity import seconds
from isthmus.cli.results import print_json
from isthmus.errors import IsthmusError, UsageError
from isthmus.export.doors import architectures
from isthmus.export.training import recipe as recipes

if TYPE_CHECKING:
    from isthmus.export.exporter import Exported

ModelArgument = Annotated[
    str, typer.Argument(metavar="MODEL", help="model.onnx, program.pt2, a Hugging Face folder, or package.module:factory.")
]

NEARLY_ALL = 0.95
"""Share of the unsplit network's FLOPs from which a head is not worth its server."""


def export(
    context: typer.Context,
    model: ModelArgument,
    output: Annotated[Path, typer.Option("--output", "-o", help="Bundle to write; a folder unless it ends with .isthmus.")],
    cut: Annotated[
        str,
        typer.Option(
            help="auto, a tensor's name, a number from `isthmus cuts`, or 25% of the FLOPs; of a language model "
            "the number of layers on the device, K+N in the sandwich."
        ),
    ] = "auto",
    costs: Annotated[
        Path | None,
        typer.Option(help="Cost table of a bundle of this network: auto takes the cut of least predicted latency, with --link."),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(metavar="PROFILE", help="With --costs: carry them to this device; the server keeps them."),
    ] = None,
    link: Annotated[str | None, typer.Option(help="With --costs: between device and server, as 5mbit/20ms.")] = None,
    bottleneck: Annotated[Literal["learned", "pca", "none"], typer.Option(help="What makes the codes.")] = "learned",
    recipe: Annotated[
        str, typer.Option(help="How a learned bottleneck is trained: isthmus, bottlefit, entropic, ghnd, hnd, or a TOML file.")
    ] = "isthmus",
    channels: Annotated[
        int | None, typer.Option(min=1, max=1024, help="Channels of a pca or learned bottleneck; default the recipe's, else 8.")
    ] = None,
    bits: Annotated[int | None, typer.Option(min=1, max=8, help="Bits of a code; default the recipe's, else 4.")] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            help="Pictures: FOLDER/<class>/<picture>, or an npz with images, labels. For a language model a text in UTF-8, on "
            "which hidden states are calibrated and figures measured."
        ),
    ] = None,
    preprocess: Annotated[
        str | None,
        typer.Option(help="unit, imagenet, centred, bytes, yolox, yolo, fastestdet, detr or grey; default by the model."),
    ] = None,
    detector: Annotated[
        str,
        typer.Option(help="auto, none, fastestdet, yolox, yolov5, yolov8 or detr: whose boxes are decoded behind the network."),
    ] = "auto",
    labels: Annotated[
        Path | None, typer.Option(help="Names of the classes, one a line; default the model's own, the class folders' or COCO's.")
    ] = None,
    score_min: Annotated[
        float | None, typer.Option(help="Score from which a detector's boxes are shown; default by its family.")
    ] = None,
    budget: Annotated[
        str | None, typer.Option(help="Time for training, for example 15m; default the recipe's epochs, else 5m.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Of weights, order and the held-out part.")] = 0,
    rate_weight: Annotated[
        float | None,
        typer.Option(
            min=0, help="Weight of a code's bits in training: fewer bytes, less accuracy; 0.05 to 0.5, default the recipe's."
        ),
    ] = None,
    target_bytes: Annotated[
        int | None,
        typer.Option(min=1, help="Payload of a picture that training shall meet: finds the rate weight; --rate-weight begins."),
    ] = None,
    teacher: Annotated[
        list[str] | None,
        typer.Option(
            metavar="MODEL",
            help="Learn the answers of this network in place of those of the one that is cut; same input and outputs. "
            "Repeatable: their mean.",
        ),
    ] = None,
    nested: Annotated[
        bool | None,
        typer.Option("--nested/--no-nested", help="Train points of half and a quarter of the channels; default the recipe's."),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the checkpoint of an interrupted export.")] = False,
    int8: Annotated[
        Literal["auto", "on", "off"], typer.Option(help="Ship an int8 head: if it is faster here, in any case, or never.")
    ] = "auto",
    local: Annotated[
        str | None,
        typer.Option(
            metavar="whole|int8|int4|FILE",
            help="Ship a network with which the device answers alone when no server does in time: the unsplit one, the same in "
            "int8, or an .onnx file with the same input and outputs; of a language model also int4.",
        ),
    ] = None,
    runtime: RuntimeOption = "onnxruntime",
    neural_filter: Annotated[
        list[str] | None,
        typer.Option("--filter", metavar="FILM", help="Film to train a neural filter on, as `isthmus filter` does; repeatable."),
    ] = None,
    layout: Annotated[
        Literal["head-tail", "sandwich"],
        typer.Option(help="Of a language model: in the sandwich its last layers are on the device too."),
    ] = "head-tail",
    positions: Annotated[
        int | None, typer.Option(min=1, help="Longest sequence of a language model; default its own, 4096 at most.")
    ] = None,
    head_weights: Annotated[
        Literal["float32", "int8", "int4"], typer.Option(help="Of a language model: weights of the layers on the device.")
    ] = "float32",
    tail_weights: Annotated[
        Literal["float32", "int8", "int4"], typer.Option(help="Of a language model: weights of the layers on the server.")
    ] = "float32",
    sign: Annotated[Path | None, typer.Option(help="Private key that signs the bundle.")] = None,
    version: Annotated[str, typer.Option(help="Version of the bundle.")] = "1",
    licence: Annotated[str, typer.Option(help="Licence of the network, in words; kept in the bundle.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Cut a network, make a bottleneck there, check it, and write a bundle; or cut a language model between two layers.

    Ctrl-C while training ends the training and writes the bundle with what was learned so far.
    """
    # What can be said at once is said before torch is imported and the model is opened and run.
    signer = open_private(sign) if sign else None
    is_language_model = architectures.writes_text(Path(model))
    language.check_options(context, is_language_model=is_language_model)
    if is_language_model:
        from isthmus.export.language.settings import LanguageSettings

        wanted = LanguageSettings(
            cut=cut,
            layout=layout,
            positions=positions,
            head_weights=head_weights,
            tail_weights=tail_weights,
            local=language.local_weights(local),
            data=data,
            version=version,
            licence=licence,
        )
        language.export(Path(model), output, wanted, signer=signer, as_json=as_json)
        return
    budget_s = None if budget is None else seconds(budget, "--budget")
    _check_data(bottleneck, data)
    if target_bytes is not None and bottleneck != "learned":
        raise UsageError(f"--target-bytes is met while training, and --bottleneck {bottleneck} trains nothing; leave it out")
    if teacher and bottleneck != "learned":
        raise UsageError(f"--teacher is for what learns, and --bottleneck {bottleneck} trains nothing; leave it out")
    chosen = recipes.load(recipe)
    measured = cut_costs.read(cut, costs, device, link)

    from isthmus.contract.sealing import sign_bundle
    from isthmus.export.detectors.labels import read as read_labels
    from isthmus.export.exporter import ExportSettings
    from isthmus.export.exporter import export as make
    from isthmus.export.training import crew
    from isthmus.export.training.distill import Progress as TrainingProgress
    from isthmus.export.training.distill import TrainingSettings

    settings = ExportSettings(
        cut=cut,
        costs=measured,
        bottleneck=bottleneck,
        channels=channels,
        bits=bits,
        data=data,
        preprocess=preprocess,
        detector=detector,
        labels=() if labels is None else read_labels(labels),
        score_min=score_min,
        training=TrainingSettings(
            recipe=chosen,
            budget_s=budget_s,
            seed=seed,
            rate_weight=rate_weight,
            target_bytes=target_bytes,
            nested=nested,
            teachers=tuple(teacher or ()),
        ),
        int8=int8,
        local=_local(local),
        runtime=runtime,
        resume=resume,
        version=version,
        licence=licence,
    )
    is_first = crew.here().is_first
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[loss]}"),
        TimeRemainingColumn(),
        console=guard.err,
        disable=not (is_first and sys.stderr.isatty()),
    ) as bar:
        task = bar.add_task("training", total=None, loss="", visible=False)

        def show(progress: TrainingProgress) -> None:
            words = f"training, {progress.stage}" if progress.loss is not None else "asking the unsplit network"
            bar.update(
                task,
                visible=True,
                total=progress.steps,
                completed=progress.step,
                description=words,
                loss="" if progress.loss is None else f"loss {progress.loss:.3f}",
            )

        def say(words: str) -> None:
            if is_first:
                guard.err.print(words, highlight=False)

        made = make(model, output, settings, on_step=say, on_progress=show)
    if neural_filter:
        made = _add_filter(made, output, neural_filter)
    if signer is not None:
        sign_bundle(output, signer)
    manifest = made.bundle.manifest
    if as_json:
        print_json(
            {"command": "export", "bundle": str(output), "contract_digest": made.bundle.digest},
            [g.model_dump() for g in manifest.gates],
        )
        return
    point = manifest.points[0]
    guard.out.print(
        f"{output}: head {manifest.head.flops / 2e6:.2f} of {manifest.whole.flops / 2e6:.2f} MMAC, "
        f"{size(point.bytes_mean or 0)} a frame, contract {made.bundle.digest[:12]}",
        highlight=False,
    )
    for row in json.loads((made.bundle.folder / "evaluation.json").read_text(encoding="utf-8"))["rows"]:
        metric = row["metric"]
        name = _contender(row)
        found = f"{metric['value']:.1%} ({metric['low']:.1%} to {metric['high']:.1%})"
        guard.out.print(f"{name}: {metric['name']} {found} on held-out pictures", highlight=False)
    if manifest.filter is not None:
        filtering.show(manifest.filter)
    share = manifest.head.flops / max(manifest.whole.flops, 1)
    if share >= NEARLY_ALL:
        guard.err.print(
            f"The head costs {share:.0%} of the unsplit network: this split saves the device nothing; "
            f"`isthmus cuts {model}` lists others.",
            style="yellow",
            highlight=False,
        )
    if made.learned is not None and made.learned.interrupted:
        guard.out.print(
            f"Training was interrupted after {made.learned.steps} steps; --resume goes on from there.", highlight=False
        )
    guard.out.print(f"Next: isthmus inspect {output}; isthmus serve {output}", highlight=False)


def _contender(row: dict[str, Any]) -> str:
    """What a row of `evaluation.json` tells of."""
    if "point" in row:
        return f"split, {row['point']} ({row['setting']}), {size(row['bytes_mean'])}"
    return "unsplit" if row["setting"] == "whole" else "device alone"


def _local(text: str | None) -> Literal["whole", "int8"] | Path | None:
    if text is None:
        return None
    if text == "whole":
        return "whole"
    if text == "int8":
        return "int8"
    if not Path(text).is_file():
        raise UsageError(f"--local {text}: whole, int8 or an .onnx file is needed, and there is no such file")
    return Path(text)


def _add_filter(made: "Exported", output: Path, film: list[str]) -> "Exported":
    """The bundle stays what it is where the filter cannot be made; hours of training may be in it."""
    from isthmus.export.filtering.making import FilterSettings

    try:
        filtered = filtering.add_filter(made.bundle, output, film, FilterSettings())
    except IsthmusError:
        words = f"{output} is written without a filter and unsigned; `isthmus filter {output} ...` goes on from there."
        guard.err.print(words, style="yellow", highlight=False)
        raise
    return replace(made, bundle=filtered)


def _check_data(bottleneck: str, data: Path | None) -> None:
    from isthmus.export import samples

    if data is None:
        raise UsageError(f"--bottleneck {bottleneck} needs pictures to work on; give --data FOLDER or --data FILE.npz")
    samples.check_place(data)
