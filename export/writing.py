"""Write what was made as a bundle: a draft first, which is measured, then the bundle with what was measured."""

import json
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from isthmus.contract.bundle import Bundle, write_bundle
from isthmus.export import gates, record, weights
from isthmus.export.evaluate import as_results, evaluate
from isthmus.export.judging import class_count
from isthmus.export.record import Making

GOLDEN_FRAMES = 4


def write(output: Path, made: Making, on_step: Callable[[str], None]) -> Bundle:
    """Write a draft, measure it, and write the bundle with what was measured.

    Args:
        output: bundle to write.
        made: what goes in.
        on_step: told in words what is being done.

    Raises:
        ExportError: the draft cannot be measured.
        BundleError: the output cannot be written.
    """
    manifest = record.manifest(made)
    golden = gates.golden_frames(made.coded, manifest.points, made.frames[:GOLDEN_FRAMES])
    held_out = made.held_out
    with tempfile.TemporaryDirectory(prefix="isthmus-export-") as temporary:
        folder = Path(temporary) / "files"
        folder.mkdir()
        for name, model in (("head.onnx", made.coded.head), ("tail.onnx", made.coded.tail), ("whole.onnx", made.source.model)):
            weights.save(model, folder / name)
        np.savez(folder / "golden.npz", **golden.arrays())  # type: ignore[arg-type]
        files = {path.name: path for path in folder.iterdir()}
        draft = write_bundle(Path(temporary) / "draft", manifest, files)
        if held_out.classes(manifest.task.labels, class_count(manifest.outputs[0])) is None:
            held_out = replace(held_out, labels=None)  # classes of another network: agreement can be measured, accuracy cannot
        on_step(f"measuring on {len(held_out)} pictures that training did not see")
        rows = evaluate(draft, held_out, rivals=("local",))
        sizes = {row.name: row.bytes_mean for row in rows if row.kind == "point"}
        points = tuple(point.model_copy(update={"bytes_mean": sizes[point.name]}) for point in manifest.points)
        results = as_results(draft, held_out, rows, "isthmus export (pictures held out of training)")
        (folder / "evaluation.json").write_text(json.dumps(results, indent=2), encoding="utf-8")
        on_step(f"writing {output}")
        return write_bundle(
            output, manifest.model_copy(update={"points": points}), {**files, "evaluation.json": folder / "evaluation.json"}
        )
