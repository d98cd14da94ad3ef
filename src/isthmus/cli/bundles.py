"""`isthmus inspect` and `isthmus verify`."""

from pathlib import Path
from typing import Annotated

import typer

from isthmus.bench.words import size
from isthmus.cli import guard
from isthmus.cli.results import print_json, print_table

BundleArgument = Annotated[Path, typer.Argument(metavar="BUNDLE", help="A .isthmus file or a bundle folder.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def inspect(bundle: BundleArgument, as_json: JsonOption = False) -> None:
    """Show what a bundle holds: cut, boundary, operating points, costs, gates, files."""
    from isthmus.contract.bundle import open_bundle

    opened = open_bundle(bundle)
    manifest = opened.manifest
    if as_json:
        print_json({"command": "inspect", "bundle": str(bundle)}, [manifest.model_dump(mode="json")])
        return
    crossing = ", ".join(f"{t.name} {'int' if t.signed else 'uint'}{t.bits}{list(t.shape)}" for t in manifest.boundary.tensors)
    replaced = "a trained encoder replaces what is before it" if manifest.cut.replaces_head else "the head is the network itself"
    facts = [
        ["id", f"{manifest.id}, version {manifest.version} (schema {manifest.schema_version})"],
        ["contract", manifest.contract_digest[:16]],
        ["source", manifest.source or "not recorded"],
        ["cut", f"{', '.join(manifest.cut.tensors)} after {manifest.cut.flops_share:.0%} of the FLOPs; {replaced}"],
        ["bottleneck", manifest.bottleneck],
        ["crosses", crossing],
        ["task", f"{manifest.task.kind}, {len(manifest.task.labels)} labels" if manifest.task.labels else manifest.task.kind],
        ["size", size(opened.size_bytes())],
        ["written", f"{manifest.created} by {manifest.writer}"],
        ["signature", "none; signing is not built yet"],
        ["licence", manifest.licence or "not recorded"],
    ]
    print_table(f"Bundle {bundle.name}", ["what", "value"], facts)
    sides = [("head", manifest.head), ("tail", manifest.tail), ("unsplit", manifest.whole)]
    print_table(
        "Cost of one frame",
        ["network", "MMAC", "parameters", "file"],
        [
            [
                name,
                f"{side.flops / 2e6:.2f}",
                f"{side.parameters:,}",
                size(manifest.files[file].size_bytes) if file in manifest.files else "-",
            ]
            for (name, side), file in zip(sides, ("head.onnx", "tail.onnx", "whole.onnx"), strict=True)
        ],
    )
    points = [
        [p.name, "+".join(map(str, p.channels)), size(p.bytes_mean) if p.bytes_mean is not None else "not measured"]
        for p in manifest.points
    ]
    print_table("Operating points", ["point", "channels", "payload, mean"], points)
    _print_gates("Gates passed at export", [[g.name, f"{g.value:.3g}", f"{g.limit:.3g}", g.detail] for g in manifest.gates])


def verify(
    bundle: BundleArgument,
    key: Annotated[Path | None, typer.Option("--key", help="Public key that must have signed it (not built yet).")] = None,
    as_json: JsonOption = False,
) -> None:
    """Check on this machine: digests, codec to the bit, head codes and tail outputs on the golden frames."""
    from isthmus.contract.bundle import open_bundle
    from isthmus.contract.manifest import Gate
    from isthmus.devices import golden
    from isthmus.devices.runtime import Network

    if key is not None:
        raise guard.later("verifying signatures", "leave out --key")
    opened = open_bundle(bundle)
    if opened.manifest.kind != "vision":
        raise guard.later(f"verifying a {opened.manifest.kind} bundle")
    frames = golden.read(opened)
    gates = [
        Gate(name="digests", value=0.0, limit=0.0, detail=f"{len(opened.manifest.files)} files, contract {opened.digest[:12]}"),
        golden.check_codec(opened, frames),
        golden.check_head(opened, frames, Network.load(opened.path("head.onnx"))),
        golden.check_tail(opened, frames, Network.load(opened.path("tail.onnx"))),
    ]
    if as_json:
        print_json({"command": "verify", "bundle": str(bundle), "passed": True}, [gate.model_dump() for gate in gates])
        return
    _print_gates(
        f"{bundle.name} is sound on this machine", [[g.name, f"{g.value:.3g}", f"{g.limit:.3g}", g.detail] for g in gates]
    )


def _print_gates(title: str, rows: list[list[str]]) -> None:
    print_table(title, ["gate", "value", "at most", "on"], rows)
