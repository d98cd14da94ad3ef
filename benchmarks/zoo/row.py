"""What the exporter makes of one model: a program that prints one JSON object.

    python -m zoo.row MODEL [--folder]      (from the folder `benchmarks`)

A process of its own for each model: its time and memory are its own, and what kills it kills one row.
"""

import argparse
import contextlib
import dataclasses
import importlib
import json
import resource
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from isthmus.devices.memory import peak_resident_bytes, resident_bytes
from isthmus.errors import IsthmusError
from isthmus.export.cutting import cuts
from isthmus.export.cutting.cuts import Cut
from isthmus.export.doors.opening import open_model
from isthmus.export.doors.source import Source
from isthmus.export.graph import cost
from isthmus.export.graph.flow import data_inputs, size_bytes
from zoo import checks

EARLY_SHARE = 0.5


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Early:
    """The single tensor of fewest bytes that can cross as codes, in the first half of the FLOPs; bytes as stored, at batch 1."""

    tensor: str
    bytes: int
    flops_share: float


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table.

    Attributes:
        outcome: `accepted`, `refused` (one line says why), or `failed` (a bug).
        reason: the line for a refusal or a failure.
        opset: of the model after the door.
        dynamic_batch: rows can be batched freely.
        parameters, parameter_bytes, flops: of the model, as `isthmus.export.graph.cost` counts.
        input_bytes: of all inputs at batch 1 as the model takes them; None where a size is free.
        cuts: places to cut; `single_cuts` of them with one tensor and nothing beside it.
        early: best early cut, None where there is none.
        batches: rows at which the comparisons ran.
        import_error: imported model against torch, or against the file as it was; relative, worst over batches and inputs.
        split_error: head then tail against the imported model; also worst over the cuts checked.
        checked: cuts compared, of one tensor and of several.
        moves: how far the answers of two different inputs are apart, relative; near 0 a comparison proves nothing.
        open_cpu_s: door, with its own checks. `cut_cpu_s`: enumerate and one split. `check_cpu_s`: these comparisons.
        memory_bytes: peak over what was resident before the door, up to and with one split.
    """

    outcome: str
    reason: str = ""
    opset: int = 0
    dynamic_batch: bool = False
    parameters: int = 0
    parameter_bytes: int = 0
    flops: int = 0
    input_bytes: int | None = None
    cuts: int = 0
    single_cuts: int = 0
    early: Early | None = None
    batches: tuple[int, ...] = ()
    import_error: float | None = None
    split_error: float | None = None
    checked: tuple[int, int] = (0, 0)
    moves: float | None = None
    open_cpu_s: float = 0.0
    cut_cpu_s: float = 0.0
    check_cpu_s: float = 0.0
    memory_bytes: int = 0


def measure(reference: str) -> Row:
    """Open, cut and check one model; an error of Isthmus is a refusal before the model is in, and a failure after."""
    warm_up(reference)
    resident = resident_bytes()
    begun = time.process_time()
    try:
        source = open_model(reference)
        opened = time.process_time()
        places = cuts.enumerate(source.model)
    except IsthmusError as error:
        return Row(outcome="refused", reason=" ".join(str(error).split()), open_cpu_s=time.process_time() - begun)
    row = facts(source, places)
    try:
        selected = checks.spread(places)
        checks.halves(source, selected[0])
        done = time.process_time()
        memory = peak_resident_bytes() - resident
        found = checks.compare(source, selected)
    except IsthmusError as error:
        return dataclasses.replace(row, outcome="failed", reason=" ".join(str(error).split()))
    row = dataclasses.replace(
        row,
        batches=found.batches,
        import_error=found.import_error,
        split_error=found.split_error,
        checked=found.checked,
        moves=found.moves,
        open_cpu_s=opened - begun,
        cut_cpu_s=done - opened,
        check_cpu_s=time.process_time() - done,
        memory_bytes=memory,
    )
    return row if not found.problem else dataclasses.replace(row, outcome="failed", reason=found.problem)


def facts(source: Source, places: list[Cut]) -> Row:
    """What is known without running anything."""
    whole = cost.of_graph(source.model.graph)
    sizes = [size_bytes(value) for value in data_inputs(source.model.graph)]
    known = [size for size in sizes if size is not None]
    return Row(
        outcome="accepted",
        opset=source.model.opset_imports[""],
        dynamic_batch=source.dynamic_batch,
        parameters=whole.parameters,
        parameter_bytes=whole.parameter_bytes,
        flops=whole.flops,
        input_bytes=sum(known) if len(known) == len(sizes) else None,
        cuts=len(places),
        single_cuts=sum(cut.is_single for cut in places),
        early=best_early(places),
    )


def best_early(places: list[Cut]) -> Early | None:
    """The first of fewest bytes that some arithmetic comes before."""
    single = [cut for cut in places if cut.is_single and cut.can_be_codes and 0 < cut.flops_share <= EARLY_SHARE]
    sized = [(cut.bytes, cut.index, cut) for cut in single if cut.bytes is not None]
    if not sized:
        return None
    size, _, cut = min(sized)
    return Early(tensor=cut.tensors[0], bytes=size, flops_share=cut.flops_share)


def warm_up(reference: str) -> None:
    """Import what the door will import, and let torch export something tiny, so that neither counts as the model's."""
    if ":" not in reference and not Path(reference).is_dir():
        return
    if ":" in reference:
        # What cannot be imported is for the door to say.
        with contextlib.suppress(ImportError):
            importlib.import_module(reference.partition(":")[0])
    open_model("zoo.tiny:linear")
    # The peak is the kernel's high-water mark: begin a new one where it lets us.
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


@contextlib.contextmanager
def saved(reference: str) -> Iterator[str]:
    """The folder that `save_pretrained` writes of the library's model behind a factory."""
    from isthmus.export.doors import factory

    module, _ = factory.build(reference)
    with tempfile.TemporaryDirectory(prefix="isthmus-zoo-") as folder:
        module.whole.save_pretrained(folder)
        del module
        yield folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("reference", metavar="MODEL")
    parser.add_argument("--folder", action="store_true", help="open what save_pretrained writes of the factory's model")
    options = parser.parse_args()
    with saved(options.reference) if options.folder else contextlib.nullcontext(options.reference) as reference:
        row = measure(reference)
    print(json.dumps(dataclasses.asdict(row)))


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    main()
