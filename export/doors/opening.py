"""How a model comes in.

    path/to/model.onnx        an ONNX file, its weights inside or beside it
    path/to/program.pt2       a program that torch.export has saved
    path/to/folder/           a Hugging Face model: config.json and its weights; nothing is fetched
    package.module:factory    a function giving `(torch.nn.Module, example_inputs)`; the current directory is importable

Whatever the door, what comes out is one `Source`.
"""

import os
import re
import shlex
from pathlib import Path

import onnx
import onnx_ir as ir

from isthmus.errors import ExportError, UsageError
from isthmus.export.doors import admission
from isthmus.export.doors.source import Source, settle, tidy
from isthmus.export.graph import weights

__all__ = ["Source", "open_model", "tidy"]


def open_model(reference: str) -> Source:
    """Open the model that `reference` names.

    Raises:
        UsageError: `reference` names nothing that can be opened; the message says what would; or a language model.
        NotBuiltYet: a language model with an encoder.
        ExportError: the model is damaged, has no inputs, takes strings, needs operators from outside, or does not run.
    """
    suffix = Path(reference).suffix.lower()
    if suffix == ".onnx":
        return _from_file(reference)
    if suffix == ".pt2":
        return _from_program(reference)
    if suffix in {".pt", ".pth"}:
        raise UsageError(
            f"{reference}: pickled weights are not read; make an ONNX file and give that, for YOLO by: yolo export "
            f"model={shlex.quote(reference)} format=onnx"
        )
    if Path(reference).is_dir():
        return _from_folder(reference)
    if re.fullmatch(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*", reference):
        return _from_factory(reference)
    raise UsageError(f"{reference!r} is no .onnx or .pt2 file, no model folder and no package.module:factory")


def _from_file(reference: str) -> Source:
    path = Path(reference)
    admission.check_file(path)
    return settle(_read(path), reference=reference, name=path.stem)


def _from_factory(reference: str) -> Source:
    from isthmus.export.doors import factory, tracing  # torch is slow to import and an .onnx does not need it

    module, inputs = factory.build(reference)
    traced = tracing.to_onnx(module, inputs)
    return settle(traced.model, reference=reference, name=reference.partition(":")[2], arrays=traced.feeds, module=module)


def _from_program(reference: str) -> Source:
    from isthmus.export.doors import program  # as above

    path = Path(reference)
    admission.check_file(path)
    read = program.read(path)
    return settle(read.exported.model, reference=reference, name=path.stem, arrays=read.exported.feeds, module=read.module)


def _from_folder(reference: str) -> Source:
    from isthmus.export.doors import folder, tracing  # as above

    path = Path(reference)
    read = folder.read(path)
    traced = tracing.to_onnx(read.module, read.inputs, input_names=read.input_names, output_names=read.output_names)
    return settle(
        traced.model,
        reference=reference,
        name=path.resolve().name,
        arrays=traced.feeds,
        module=read.module,
        preparation=read.preparation,
        labels=read.labels,
    )


def _read(path: Path) -> ir.Model:
    """Parse and check a file; weights beside it stay there if they are large.

    The checker also refuses weights that lie outside the folder of the model.
    """
    try:
        onnx.checker.check_model(os.fspath(path))
        return weights.settle(ir.load(path))
    except Exception as reason:
        lines = str(reason).strip().splitlines() or [type(reason).__name__]
        kind = admission.kind_of(path)
        raise ExportError(f"{path} is not a sound ONNX file: {lines[0] if kind is None else f'it is {kind}'}") from reason
