"""`isthmus triton`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from isthmus.cli import guard
from isthmus.cli.bundles import BundleArgument, JsonOption, TrustOption, open_trusted
from isthmus.cli.results import print_json, print_table

if TYPE_CHECKING:
    from isthmus.export.targets.triton import Written
    from isthmus.export.targets.triton_config import Port


def triton(
    bundle: BundleArgument,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="REPOSITORY", help="Model repository, new or existing.")],
    version: Annotated[int | None, typer.Option(min=1, help="Of the models; default the bundle's.")] = None,
    max_batch: Annotated[int, typer.Option(min=1, help="Most requests that Triton may join.")] = 32,
    instances: Annotated[int, typer.Option(min=1, help="Copies of a network that run at the same time.")] = 1,
    whole: Annotated[bool, typer.Option("--whole/--no-whole", help="Write the unsplit network too, for offloading.")] = True,
    trust: TrustOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write a Triton model repository from a bundle: raw codes in, the network's outputs out.

    Models of other names and other versions in the repository stay as they are.
    """
    from isthmus.export.targets.triton import TritonSettings, write_repository

    settings = TritonSettings(version=version, max_batch=max_batch, instances=instances, with_whole=whole)
    models = write_repository(open_trusted(bundle, trust), output, settings)
    if as_json:
        print_json({"command": "triton", "bundle": str(bundle), "repository": str(output)}, [_row(model) for model in models])
        return
    columns = ["model", "version", "takes", "gives", "joined"]
    rows = [
        [
            model.name,
            str(model.version),
            "\n".join(map(_told, model.interface.inputs)),
            "\n".join(map(_told, model.interface.outputs)),
            f"up to {max_batch}" if model.interface.has_batch and max_batch > 1 else "no",
        ]
        for model in models
    ]
    print_table(f"Triton model repository {output}", columns, rows, left=("takes", "gives"))
    guard.err.print(f"Next: tritonserver --model-repository={output.resolve()}", highlight=False, markup=False)


def _row(model: "Written") -> dict[str, object]:
    return {
        "model": model.name,
        "version": model.version,
        "folder": str(model.folder),
        "has_batch": model.interface.has_batch,
        "inputs": [_fact(port) for port in model.interface.inputs],
        "outputs": [_fact(port) for port in model.interface.outputs],
    }


def _fact(port: "Port") -> dict[str, object]:
    return {"name": port.name, "data_type": port.data_type, "dims": list(port.dims)}


def _told(port: "Port") -> str:
    return f"{port.name} {port.data_type.removeprefix('TYPE_')}[{', '.join(map(str, port.dims))}]"
