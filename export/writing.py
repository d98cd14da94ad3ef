"""Write what was made as a bundle: a draft first, which is measured, then the bundle with what was measured."""

import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from isthmus.codec.tables import FILE_NAME
from isthmus.contract.bundle import Bundle
from isthmus.contract.bundle_writing import write_bundle
from isthmus.contract.manifest import Manifest
from isthmus.devices.golden import GOLDEN_NAME, HEAD, INT8_HEAD, LOCAL
from isthmus.errors import ExportError
from isthmus.export import gates, record
from isthmus.export.evaluate import Row, as_results, evaluate
from isthmus.export.graph import weights
from isthmus.export.judging import class_count
from isthmus.export.record import Making
from isthmus.export.samples import Samples

GOLDEN_FRAMES = 4
MEASURED_FLOPS = 2e12
"""Arithmetic that goes into the figures of `evaluation.json`, 20 to 60 s on one core; `isthmus evaluate` takes every picture."""
MEASURED_MIN = 32


def write(output: Path, made: Making, on_step: Callable[[str], None]) -> Bundle:
    """Write a draft, measure it, and write the bundle with what was measured.

    Args:
        output: bundle to write.
        made: what goes in.
        on_step: told in words what is being done.

    Raises:
        ExportError: the draft cannot be measured, or the disk of temporary files is full.
        BundleError: the output cannot be written.
    """
    manifest = record.manifest(made)
    with tempfile.TemporaryDirectory(prefix="isthmus-export-") as temporary:
        folder = Path(temporary) / "files"
        folder.mkdir()
        files = _files(folder, made, manifest)
        draft = write_bundle(Path(temporary) / "draft", manifest, files)
        pictures = _measured(made.held_out, manifest)
        on_step(f"measuring on {len(pictures)} of {len(made.held_out)} pictures that training did not see")
        rows = evaluate(draft, pictures, rivals=("local",))
        manifest = _with_verdict(manifest, rows, is_wanted=made.settings.int8 == "on", on_step=on_step)
        if draft.has(INT8_HEAD) and manifest.int8 is not None and not manifest.int8.shipped:
            rows = [row for row in rows if row.head != INT8_HEAD]
            made = replace(made, int8=None)
            files = _files(folder, made, manifest)
            draft = write_bundle(Path(temporary) / "draft", manifest, files)
        manifest = _with_sizes(manifest, rows)
        results = as_results(draft, pictures, rows, "isthmus export (pictures held out of training)")
        (folder / "evaluation.json").write_text(json.dumps(results, indent=2), encoding="utf-8")
        on_step(f"writing {output}")
        return write_bundle(output, manifest, {**files, "evaluation.json": folder / "evaluation.json"})


def _files(folder: Path, made: Making, manifest: Manifest) -> dict[str, Path]:
    """Networks, codec tables and golden frames, saved in a folder."""
    networks = {HEAD: made.coded.head, "tail.onnx": made.coded.tail, "whole.onnx": made.source.model}
    candidate = None if made.int8 is None else made.int8.model
    if candidate is not None:
        networks[INT8_HEAD] = candidate
    frames = made.frames[:GOLDEN_FRAMES]
    golden = gates.golden_frames(made.coded, manifest.points, frames, made.tables, int8_head=candidate)
    if made.local is not None:
        networks[LOCAL] = made.local.model
        golden = replace(golden, local_outputs=made.local.outputs(frames))
    try:
        for name, model in networks.items():
            weights.save(model, folder / name)
        if made.tables.tables:
            made.tables.save(folder / FILE_NAME)
        np.savez(folder / GOLDEN_NAME, **golden.arrays())  # type: ignore[arg-type]
    except OSError as error:
        raise ExportError(
            f"cannot write the networks to {folder.parent.parent}: {error.strerror}; set TMPDIR to a folder with more room"
        ) from error
    # Weights of more than protobuf holds lie beside their network.
    wanted = {GOLDEN_NAME, FILE_NAME, *networks, *(f"{name}{weights.SUFFIX}" for name in networks)}
    return {path.name: path for path in folder.iterdir() if path.name in wanted}


def _measured(held_out: Samples, manifest: Manifest) -> Samples:
    """As many held-out pictures as can be measured in bearable time, spread evenly."""
    heads = 2 if manifest.int8 is not None and manifest.int8.shipped else 1
    each = manifest.whole.flops + heads * (manifest.head.flops + len(manifest.points) * manifest.tail.flops)
    count = min(len(held_out), max(MEASURED_MIN, int(MEASURED_FLOPS / max(1, each))))
    pictures = held_out.part(np.linspace(0, len(held_out) - 1, count).round().astype(int))
    if pictures.classes(manifest.task.labels, class_count(manifest.outputs[0])) is None:
        return replace(pictures, labels=None)  # classes of another network: agreement can be measured, accuracy cannot
    return pictures


def _with_verdict(manifest: Manifest, rows: Sequence[Row], *, is_wanted: bool, on_step: Callable[[str], None]) -> Manifest:
    """Record how good both heads are; an int8 head that is worse beyond chance is not shipped unless it is wanted."""
    first = {row.head: row.metric for row in reversed(rows) if row.kind == "point"}
    if manifest.int8 is None or INT8_HEAD not in first:
        return manifest
    one, other = first[HEAD], first[INT8_HEAD]
    update: dict[str, object] = {"float_metric": one, "int8_metric": other}
    if other.value < one.low:
        reason = f"its {other.name} is {other.value:.1%}, that of the float head {one.value:.1%}, at least {one.low:.1%}"
        update |= {"reason": "; ".join(filter(None, (manifest.int8.reason, reason))), "shipped": is_wanted}
        on_step(f"int8 head {'shipped, though' if is_wanted else 'not shipped:'} {reason}")
    return manifest.model_copy(update={"int8": manifest.int8.model_copy(update=update)})


def _with_sizes(manifest: Manifest, rows: Sequence[Row]) -> Manifest:
    """Write into the points how many bytes they take with the head that the device runs."""
    sizes = {row.name: row.bytes_mean for row in reversed(rows) if row.kind == "point"}
    points = tuple(point.model_copy(update={"bytes_mean": sizes[point.name]}) for point in manifest.points)
    return manifest.model_copy(update={"points": points})
