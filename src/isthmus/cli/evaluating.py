"""`isthmus evaluate`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from isthmus.bench.words import size
from isthmus.cli import guard
from isthmus.cli.bundles import BundleArgument, JsonOption
from isthmus.cli.results import print_json, print_table

if TYPE_CHECKING:
    from isthmus.contract.metric import Metric


def evaluate(
    bundle: BundleArgument,
    data: Annotated[
        Path,
        typer.Option(
            help="Pictures: FOLDER/<class>/<picture>, an npz with images, labels; for a detector also a .json of true boxes as "
            "COCO's, with the pictures beside it."
        ),
    ],
    rivals: Annotated[str, typer.Option(help="Of jpeg, webp, avif, local.")] = "jpeg,webp,local",
    as_json: JsonOption = False,
) -> None:
    """Measure accuracy, or a detector's average precision, and real bytes beside pictures and the unsplit network."""
    from isthmus.contract.bundle import open_bundle
    from isthmus.export import evaluate as evaluation
    from isthmus.export import samples
    from isthmus.export.rivals import parse as parse_rivals

    opened = open_bundle(bundle)
    chosen = parse_rivals(rivals)
    pictures = samples.read(data)
    rows = evaluation.evaluate(
        opened, pictures, chosen, on_step=lambda words: guard.err.print(f"measuring {words}", highlight=False)
    )
    results = evaluation.as_results(opened, pictures, rows, f"isthmus evaluate {bundle} --data {data} --rivals {rivals}")
    if as_json:
        print_json(results["meta"], results["rows"])
        return
    figures = [name for metric in (rows[0].metric, *rows[0].further) for name in (metric.name, "interval")]
    print_table(
        f"{results['meta']['metric']} on {pictures.origin}, 95% intervals",
        ["placement", "setting", "payload, mean", *figures, "device MMAC", "device ms"],
        [
            [
                f"split, {row.name}" if row.kind == "point" else row.name,
                row.setting,
                size(row.bytes_mean),
                *(words for metric in (row.metric, *row.further) for words in _told(metric)),
                f"{row.device_mmac:.2f}",
                "-" if row.device_ms is None else f"{row.device_ms:.2f}",
            ]
            for row in rows
        ],
    )
    guard.out.print(f"[dim]{results['meta']['rivals']}[/dim]")


def _told(metric: "Metric") -> tuple[str, str]:
    return f"{metric.value:.1%}", f"{metric.low:.1%} to {metric.high:.1%}"
