"""Is an imported model what it was, and are its halves together what it is?

Every comparison runs at two batch sizes where the batch is free, and on two inputs that have nothing in common but type, shape
and range. Differences are `isthmus.export.graph.session.relative_difference`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime

from isthmus.errors import ExportError
from isthmus.export.cutting.cuts import Cut
from isthmus.export.cutting.split import Halves, split
from isthmus.export.doors.source import Source
from isthmus.export.graph.flow import BATCH, data_inputs, name_of
from isthmus.export.graph.session import Session, relative_difference

BATCHES = (1, 3)
LIMIT = 1e-4
"""Largest relative difference of an accepted model."""
SCALES = (1.0, 255.0)
"""Of made-up numbers: a network that takes bytes, as floats or as integers, sees nothing in 0..1, and gives one answer to all
of it."""
SINGLE_CUTS = 5
SEVERAL_CUTS = 2
STILL = 1e-3
"""Answers of two inputs that are closer than this would hide a wrong half."""

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """See `zoo.row.Row` for the fields; `problem` is empty when every difference is within `LIMIT`."""

    batches: tuple[int, ...]
    import_error: float | None
    split_error: float
    checked: tuple[int, int]
    moves: float
    problem: str


def spread(places: Sequence[Cut]) -> list[Cut]:
    """Single-tensor cuts spread evenly over the depth, then cuts of several tensors: the fewest bytes, and the middle one."""
    single = [cut for cut in places if cut.is_single]
    several = [cut for cut in places if not cut.is_single]
    picked = (
        [single[position] for position in sorted(set(np.linspace(0, len(single) - 1, SINGLE_CUTS).astype(int)))] if single else []
    )
    if several:
        smallest = min(several, key=lambda cut: (cut.bytes is None, cut.bytes, cut.index))
        picked += list({cut.index: cut for cut in (smallest, several[len(several) // 2])}.values())[:SEVERAL_CUTS]
    return picked


def halves(source: Source, cut: Cut) -> Halves:
    """Split, and let the ONNX checker look at both halves.

    Raises:
        ExportError: the checker refuses one.
    """
    made = split(source.model, cut)
    for name, half in (("head", made.head), ("tail", made.tail)):
        try:
            onnx.checker.check_model(ir.to_proto(half))
        except Exception as reason:
            first = str(reason).strip().splitlines()[0]
            raise ExportError(f"the {name} of cut {cut.index} does not pass the ONNX checker: {first}") from reason
    return made


def compare(source: Source, selected: Sequence[Cut]) -> Comparison:
    """Run everything against everything.

    Raises:
        ExportError: a half does not load or does not run.
    """
    batches = BATCHES if source.dynamic_batch else (0,)
    whole = Session(source.model)
    for scale in SCALES:
        feeds = [arrays(source, rows=rows, seed=seed, scale=scale) for rows in batches for seed in (1, 2)]
        answers = [whole.run(fed) for fed in feeds]
        moves = max(difference(other, list(one.values())) for one, other in zip(answers[::2], answers[1::2], strict=True))
        if moves > STILL:
            break
    ran = original(source)
    imported = [difference(answer, ran(fed)) for fed, answer in zip(feeds, answers, strict=True)]
    errors: dict[int, float] = {}
    for cut in selected:
        errors[cut.index] = _split_error(source, cut, feeds, answers)
    worst = max(errors, key=errors.__getitem__)
    return Comparison(
        batches=batches if source.dynamic_batch else (_rows(source),),
        import_error=max(imported),
        split_error=errors[worst],
        checked=(sum(cut.is_single for cut in selected), sum(not cut.is_single for cut in selected)),
        moves=moves,
        problem=_problem(max(imported), errors[worst], worst, moves),
    )


def _problem(import_error: float, split_error: float, index: int, moves: float) -> str:
    if not import_error <= LIMIT:
        return f"the imported model differs from its source by {import_error:.2g}, at most {LIMIT:g}"
    if not split_error <= LIMIT:
        return f"head then tail of cut {index} differ from the whole by {split_error:.2g}, at most {LIMIT:g}"
    if not moves > STILL:
        return f"two inputs give answers only {moves:.2g} apart, so nothing was checked"
    return ""


def _split_error(source: Source, cut: Cut, feeds: Sequence[Arrays], answers: Sequence[Arrays]) -> float:
    made = halves(source, cut)
    head, tail = Session(made.head), Session(made.tail)
    return max(
        difference(tail.run(fed | head.run(fed)), [answer[name] for name in tail.outputs])
        for fed, answer in zip(feeds, answers, strict=True)
    )


def difference(got: Arrays, want: Sequence[np.ndarray]) -> float:
    """Relative difference of the answers in their order."""
    return relative_difference(list(got.values()), list(want))


def arrays(source: Source, *, rows: int, seed: int, scale: float = 1.0) -> Arrays:
    """Inputs in the range of the example inputs times `scale`, of `rows` rows where the batch is free.

    Seed 1 draws uniformly, every other seed from a normal distribution of the same middle; integers are uniform from 0, or the
    example's smallest, to its largest, or 1. Numbers without dimensions (a sampling rate) stay as they are.
    """
    generator = np.random.default_rng(seed)
    made: Arrays = {}
    for value, example in zip(data_inputs(source.model.graph), source.example_inputs, strict=True):
        free = [not isinstance(size, int) and size.value == BATCH for size in value.shape or ()]
        sizes = [rows if is_batch else size for is_batch, size in zip(free, example.shape, strict=True)]
        made[name_of(value)] = _drawn(example, sizes, generator, normal=seed != 1, scale=scale)
    return made


def _drawn(example: np.ndarray, sizes: list[int], generator: np.random.Generator, *, normal: bool, scale: float) -> np.ndarray:
    if example.dtype.kind not in "fiub" or example.ndim == 0:
        return example
    if example.dtype.kind in "iub":
        lowest, highest = (
            min(0, int(example.min())),
            max(1, int(example.max())) * (1 if example.dtype.kind == "b" else int(scale)),
        )
        return generator.integers(lowest, highest + 1, sizes).astype(example.dtype)
    lowest, highest = scale * float(example.min()), scale * float(example.max())
    drawn = (
        generator.normal((lowest + highest) / 2, (highest - lowest) / 4, sizes)
        if normal
        else generator.uniform(lowest, highest, sizes)
    )
    return drawn.astype(example.dtype)


def original(source: Source) -> Callable[[Arrays], list[np.ndarray]]:
    """What the model was before the door, as a function: the torch module, or the file in a plain onnxruntime session."""
    if source.torch_module is not None:
        return lambda fed: _torch_answer(source, fed)
    return lambda fed: _file_answer(Path(source.reference), fed)


def _torch_answer(source: Source, fed: Arrays) -> list[np.ndarray]:
    import torch

    with torch.no_grad():
        answer = source.torch_module(*map(torch.from_numpy, fed.values()))
    return [leaf.numpy() for leaf in torch.utils._pytree.tree_leaves(answer) if isinstance(leaf, torch.Tensor)]


def _file_answer(path: Path, fed: Arrays) -> list[np.ndarray]:
    """The file's answer; row by row where it declares a batch of 1 that the door has freed."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    declared = session.get_inputs()[0].shape
    rows = next(iter(fed.values())).shape[0]
    if not declared or declared[0] != 1 or rows == 1:
        return session.run(None, fed)
    singly = [session.run(None, {name: array[row : row + 1] for name, array in fed.items()}) for row in range(rows)]
    return [np.concatenate(parts) for parts in zip(*singly, strict=True)]


def _rows(source: Source) -> int:
    first = source.example_inputs[0]
    return first.shape[0] if first.ndim else 1
