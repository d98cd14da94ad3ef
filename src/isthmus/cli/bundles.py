"""`isthmus inspect` and `isthmus verify`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from isthmus.bench.words import size
from isthmus.cli import language
from isthmus.cli.results import print_json, print_table
from isthmus.contract.key import listed
from isthmus.errors import SignatureError

if TYPE_CHECKING:
    from isthmus.contract.bundle import AnyBundle, Bundle, LanguageBundle
    from isthmus.contract.filter import FilterRecord
    from isthmus.contract.manifest import Gate, Int8Head

BundleArgument = Annotated[Path, typer.Argument(metavar="BUNDLE", help="A .isthmus file or a bundle folder.")]
KeyOption = Annotated[
    Path | None, typer.Option("--key", help="Public key, or folder of them; one of these must have signed the bundle.")
]
TrustOption = Annotated[
    Path | None, typer.Option("--trust", help="Public key, or folder of them; one of these must have signed the bundle.")
]
RuntimeOption = Annotated[
    Literal["onnxruntime", "tensorrt"],
    typer.Option(help="tensorrt: refuse networks that its public support list does not take as well."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def inspect(bundle: BundleArgument, key: KeyOption = None, as_json: JsonOption = False) -> None:
    """Show what a bundle holds: cut, boundary, operating points, costs, gates, files, who signed it."""
    from isthmus.codec import tables
    from isthmus.codec.codec import PLAIN_MODES
    from isthmus.contract.bundle import LanguageBundle
    from isthmus.devices import golden

    opened = _open(bundle, key)
    signers, signature = _signers(opened)
    meta = {"command": "inspect", "bundle": str(bundle), "signatures": signers, "signed_by": opened.signed_by}
    if isinstance(opened, LanguageBundle):
        if as_json:
            print_json(meta, [opened.manifest.model_dump(mode="json")])
        else:
            language.show(opened, signature)
        return
    manifest = opened.manifest
    if as_json:
        meta["codec_modes"] = [mode.name.lower() for mode in (*PLAIN_MODES, *tables.of_bundle(opened).modes)]
        print_json(meta, [manifest.model_dump(mode="json")])
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
        ["codec", _codec(opened)],
        ["int8 head", _int8(manifest.int8)],
        ["filter", "none" if manifest.filter is None else _filter(manifest.filter)],
        ["task", f"{manifest.task.kind}, {len(manifest.task.labels)} labels" if manifest.task.labels else manifest.task.kind],
        ["size", size(opened.size_bytes())],
        ["written", f"{manifest.created} by {manifest.writer}"],
        ["signature", signature],
        ["licence", manifest.licence or "not recorded"],
    ]
    print_table(f"Bundle {bundle.name}", ["what", "value"], facts)
    sides = [("head", manifest.head), ("tail", manifest.tail), ("unsplit", manifest.whole), ("int8 head", manifest.head)]
    sides.append(("device alone", manifest.local or manifest.whole))
    files = ("head.onnx", "tail.onnx", "whole.onnx", golden.INT8_HEAD, golden.LOCAL)
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
            for (name, side), file in zip(sides, files, strict=True)
            if file not in (golden.INT8_HEAD, golden.LOCAL) or opened.has(file)
        ],
    )
    points = [
        [
            p.name,
            "+".join(map(str, p.channels)),
            size(p.bytes_mean) if p.bytes_mean is not None else "not measured",
            "-" if p.explained_variance is None else f"{p.explained_variance:.1%}",
        ]
        for p in manifest.points
    ]
    print_table("Operating points", ["point", "channels", "payload, mean", "variance kept"], points)
    _print_gates("Gates passed at export", [[g.name, f"{g.value:.3g}", f"{g.limit:.3g}", g.detail] for g in manifest.gates])


def verify(
    bundle: BundleArgument,
    key: KeyOption = None,
    runtime: RuntimeOption = "onnxruntime",
    as_json: JsonOption = False,
) -> None:
    """Check on this machine: digests, signature, codec to the bit; head codes, tail outputs, filter scores of golden frames; of
    a language model hidden states and logits of a golden text."""  # noqa: D205, D209
    from isthmus.contract.bundle import LanguageBundle
    from isthmus.contract.manifest import Gate

    opened = _open(bundle, key)
    gates = [
        Gate(name="digests", value=0.0, limit=0.0, detail=f"{len(opened.manifest.files)} files, contract {opened.digest[:12]}"),
        *([Gate(name="signature", value=0.0, limit=0.0, detail=f"by {opened.signed_by}")] if opened.signed_by else []),
        *(_of_text(opened) if isinstance(opened, LanguageBundle) else _of_frames(opened, runtime)),
    ]
    if as_json:
        meta = {"command": "verify", "bundle": str(bundle), "passed": True, "signed_by": opened.signed_by}
        print_json(meta, [gate.model_dump() for gate in gates])
        return
    _print_gates(
        f"{bundle.name} is sound on this machine", [[g.name, f"{g.value:.3g}", f"{g.limit:.3g}", g.detail] for g in gates]
    )


def _of_text(opened: "LanguageBundle") -> "list[Gate]":
    """Gates of a language model."""
    from isthmus.devices.decoder import golden

    return list(golden.check(opened, golden.read(opened)))


def _of_frames(opened: "Bundle", runtime: str) -> "list[Gate]":
    """Gates of a network of pictures or tensors."""
    from isthmus.contract.filter import FILTER
    from isthmus.devices import golden
    from isthmus.devices.filtering import FilterNetwork
    from isthmus.devices.runtime import Network

    frames = golden.read(opened)
    gates = [
        golden.check_codec(opened, frames),
        golden.check_head(opened, frames, Network.of_bundle(opened, "head.onnx")),
        *(golden.check_head(opened, frames, Network.of_bundle(opened, name)) for name in (golden.INT8_HEAD,) if opened.has(name)),
        golden.check_tail(opened, frames, Network.of_bundle(opened, "tail.onnx")),
        *(golden.check_local(opened, frames, Network.of_bundle(opened, name)) for name in (golden.LOCAL,) if opened.has(name)),
        *([golden.check_filter(opened, frames, FilterNetwork(opened))] if opened.has(FILTER) else []),
    ]
    if runtime == "tensorrt":
        from isthmus.export.targets.tensorrt import check_files

        gates.append(check_files({name: opened.path(name) for name in ("head.onnx", "tail.onnx")}))
    return gates


def open_trusted(bundle: Path, keys: Path | None) -> "Bundle":
    """Open a bundle; where a file or folder of public keys is given, one of them must have signed it.

    Raises:
        BundleError: it is not sound, or not signed by one of the keys.
        ConfigError: the keys cannot be read.
    """
    from isthmus.contract.bundle import open_bundle
    from isthmus.contract.trust import read_trusted

    return open_bundle(bundle, trusted=read_trusted(keys) if keys else None)


def _open(bundle: Path, keys: Path | None) -> "AnyBundle":
    """As `open_trusted`, and language models too."""
    from isthmus.contract.bundle import open_any
    from isthmus.contract.trust import read_trusted

    return open_any(bundle, trusted=read_trusted(keys) if keys else None)


def _signers(bundle: "AnyBundle") -> tuple[list[str], str]:
    """Key ids that the bundle claims, and what is known of them in words."""
    from isthmus.contract import signature

    try:
        held = signature.read(bundle.folder, bundle.origin)
    except SignatureError as error:
        return [], f"not readable: {error}"
    if held is None:
        return [], "none"
    if bundle.signed_by is None:
        return held.key_ids, f"by {listed(held.key_ids)}, as it says of itself; --key checks it"
    return held.key_ids, f"good, by {bundle.signed_by}; {len(held.signatures)} in all"


def _codec(bundle: "Bundle") -> str:
    """Modes that the bundle allows, at which points, and what its tables weigh."""
    from isthmus.codec import tables
    from isthmus.codec.codec import PLAIN_MODES, names

    found = tables.of_bundle(bundle)
    if not found.modes:
        return f"{names(PLAIN_MODES)}; no tables"
    points = bundle.manifest.points
    at = [point.name for index, point in enumerate(points) if any(index == key[0] for key in found.tables)]
    where = "" if len(at) == len(points) else f" at {', '.join(at)}"
    held = size(bundle.manifest.files[tables.FILE_NAME].size_bytes)
    return f"{names(PLAIN_MODES)}, {names(found.modes)}{where}; tables {held}"


def _int8(record: "Int8Head | None") -> str:
    """One line on what the exporting machine found."""
    if record is None:
        return "not tried"
    if record.int8_ms is None or record.float_ms is None or record.changed_code_share is None:
        return f"none: {record.reason}"
    told = (
        f"{record.activations} activations, {record.int8_ms:.2f} ms against {record.float_ms:.2f} ms in float at export, "
        f"{record.changed_code_share:.1%} of the codes differ"
    )
    if record.float_metric is not None and record.int8_metric is not None:
        told += f", {record.int8_metric.name} {record.int8_metric.value:.1%} against {record.float_metric.value:.1%}"
    return "; ".join(filter(None, ("" if record.shipped else "not shipped", told, record.reason)))


def _filter(record: "FilterRecord") -> str:
    """What it promises, and what it did on film that nothing was chosen by."""
    test = next((figures for figures in record.figures if figures.part == "test"), None)
    if test is None:
        return record.promise
    passed = round(test.recall_events.value * test.events)
    tested = f"{passed} of {test.events} events passed, {test.empty_dropped:.1%} of empty frames dropped"
    return f"{record.promise}; on other film {tested}"


def _print_gates(title: str, rows: list[list[str]]) -> None:
    print_table(title, ["gate", "value", "at most", "on"], rows)
