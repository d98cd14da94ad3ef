"""The checks a bundle must pass before it is written. A gate that fails stops the export and names both values."""

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir
import onnx_ir.passes.common as passes
import torch

from isthmus.codec.codec import NO_TABLES, Codec
from isthmus.codec.tables import CodecTables
from isthmus.contract import overlap
from isthmus.contract.boundary import OperatingPoint
from isthmus.contract.manifest import Gate
from isthmus.devices.golden import GoldenFrames
from isthmus.devices.runtime import changed_share
from isthmus.errors import ExportError
from isthmus.export import tables as codec_tables
from isthmus.export.bottlenecks.halves import CodedHalves, one_by_one
from isthmus.export.cutting.split import Halves
from isthmus.export.doors import equality
from isthmus.export.doors.opening import Source
from isthmus.export.graph.flow import data_inputs, name_of
from isthmus.export.graph.session import Session, relative_difference, tolerance
from isthmus.export.training.distill import Learned

SPLIT_TOLERANCE = 1e-4
"""Relative: a split moves no arithmetic, only optimisations of onnxruntime across the cut differ."""
CHANGED_CODES_MAX = 0.005
"""Torch and onnxruntime sum in another order; values next to a rounding boundary then fall either way."""
TORCH_TOLERANCE = 1e-3
"""Relative, as at the torch door: sums of a whole tail in another order."""
BOXES_MAX = overlap.DIFFERENCE_MAX
BATCHES = (1, 3)


def same_as_torch(source: Source, pictures: np.ndarray) -> Gate | None:
    """The imported ONNX model equals its torch module on two inputs; None where there is no module."""
    if source.torch_module is None:
        return None
    name = name_of(data_inputs(source.model.graph)[0])
    inputs = _two_inputs(pictures, is_free=source.dynamic_batch)
    found = equality.compared(source.torch_module, source.model, [{name: given} for given in inputs])
    detail = _batches(inputs) if found.is_equal else f"{_batches(inputs)}; {found.advice}"
    words = f"{detail}; {found.words}" if found.words else detail
    return _passed("imported ONNX equals torch", found.difference, found.allowed, words)


def well_formed(source: Source, halves: Halves) -> Gate:
    """Both halves pass onnx.checker; with its inference of every type and shape where the source itself passes that."""
    full_check = _unsound(source.model, full_check=True) is None
    for side, half in (("head", halves.head), ("tail", halves.tail)):
        reason = _unsound(half, full_check=full_check)
        if reason is not None:
            raise ExportError(f"the {side} is no sound ONNX model: {reason}; cut elsewhere, nothing was written")
    detail = "onnx.checker, with types and shapes" if full_check else "onnx.checker; types and shapes of the source do not pass"
    return Gate(name="both halves are well formed", value=0.0, limit=0.0, detail=detail)


def _unsound(model: ir.Model, *, full_check: bool) -> str | None:
    """What onnx.checker has against a model, in one line; weights of any size are left out of the check."""
    try:
        passes.CheckerPass(full_check=full_check)(model)
    except Exception as reason:  # The pass wraps what the checker raises.
        return str(reason.__cause__ or reason).strip().splitlines()[0]
    return None


def same_after_split(source: Source, halves: Halves, pictures: np.ndarray) -> Gate:
    """Head then tail equals the source network, before anything is quantised or trained.

    A float tensor inside a quantised network lies between operators that onnxruntime would fuse into one of integers; cut there,
    it computes them in floats, and answers differ by a step of the network's own quantiser. Then the three are compared
    as they are written, operator by operator.
    """
    inputs = _two_inputs(pictures, is_free=source.dynamic_batch)
    difference = _after_split(source, halves, inputs, optimised=True)
    detail = _batches(inputs)
    allowed = tolerance(source.model, SPLIT_TOLERANCE)
    if not difference <= allowed:
        fused, difference = difference, _after_split(source, halves, inputs, optimised=False)
        detail += f"; operator by operator, for what onnxruntime fuses across this cut differs by {fused:.3g}"
    return _passed("head then tail equals the source", difference, allowed, detail)


def _after_split(source: Source, halves: Halves, inputs: Sequence[np.ndarray], *, optimised: bool) -> float:
    whole, head, tail = (Session(model, optimised=optimised) for model in (source.model, halves.head, halves.tail))
    found = []
    for given in inputs:
        feeds = {whole.inputs[0]: given}
        joined = tail.run(feeds | head.run(feeds))
        found.append(relative_difference(list(joined.values()), list(whole.run(feeds).values())))
    return max(found)


def same_when_quantised(coded: CodedHalves, pictures: np.ndarray, tables: CodecTables = NO_TABLES) -> Gate:
    """The shipped head, then the codec, then the shipped tail equal the modified, quantised whole as one network."""
    inputs = _two_inputs(pictures, is_free=_is_free(coded.head) and _is_free(coded.tail))
    codec = Codec(coded.boundary, [full_point(coded)], tables=tables)
    # One session after the other: each holds a packed copy of its weights.
    head = Session(coded.head)
    crossing = [_through(codec, coded, head.run({head.inputs[0]: given})) for given in inputs]
    del head
    tail = Session(coded.tail)
    answers = [tail.run(codes) for codes in crossing]
    del tail
    joined = Session(coded.joined())
    wanted = [joined.run({joined.inputs[0]: given}) for given in inputs]
    found = [relative_difference(list(got.values()), list(want.values())) for got, want in zip(answers, wanted, strict=True)]
    return _passed(
        "head, codec, tail equal the quantised whole",
        max(found),
        tolerance(coded.tail, SPLIT_TOLERANCE),
        _batches(inputs),
    )


def _through(codec: Codec, coded: CodedHalves, codes: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """A batch of codes as it comes out of the codec, which takes picture by picture."""
    names = [tensor.name for tensor in coded.boundary.tensors]
    sent = [codec.decode(codec.encode([codes[name][row] for name in names])) for row in range(len(codes[names[0]]))]
    return {name: np.stack(rows) for name, rows in zip(names, zip(*sent, strict=True), strict=True)}


def same_boxes_in_a_batch(source: Source, pictures: np.ndarray) -> Gate | None:
    """A detector with boxes gives for several pictures at once what it gives for each; None where it takes one only."""
    if not source.dynamic_batch:
        return None
    session, few = Session(source.model), _several(pictures, max(BATCHES))
    name = session.inputs[0]
    together = session.run({name: few})
    singly = one_by_one(session, few)
    return _passed("boxes in a batch equal boxes alone", overlap.difference(together, singly), BOXES_MAX, f"batch {len(few)}")


def same_codes_as_torch(learned: Learned, coded: CodedHalves, pictures: np.ndarray) -> Gate:
    """The encoder in onnxruntime gives the codes that the trained torch module gives."""
    head = Session(coded.head)
    with torch.no_grad():
        wanted = learned.encoder(torch.from_numpy(pictures)).clamp(*learned.code_range).round().to(torch.int8).numpy()
    found = head.run({head.inputs[0]: pictures})["codes_0"]
    return _passed("head codes equal torch", changed_share(found, wanted), CHANGED_CODES_MAX, f"{len(pictures)} pictures")


def same_answers_as_torch(learned: Learned, coded: CodedHalves, pictures: np.ndarray) -> Gate:
    """The tail with its trained weights, in onnxruntime, answers as it did in torch, where it was trained."""
    assert learned.tail is not None
    head, tail = Session(coded.head), Session(coded.tail)
    codes = head.run({head.inputs[0]: pictures})
    with torch.no_grad():
        wanted = learned.tail.compute(learned.tail.output_names, learned.decoder(torch.from_numpy(codes["codes_0"]).float()))
    found = relative_difference(list(tail.run(codes).values()), [answer.numpy() for answer in wanted])
    return _passed("trained tail equals torch", found, tolerance(coded.tail, TORCH_TOLERANCE), f"{len(pictures)} pictures")


def changed_by_order(coded: CodedHalves, pictures: np.ndarray) -> float:
    """Share of codes that change when the head takes pictures singly on one thread, not together on two."""
    two = Session(coded.head, threads=2)
    singly = one_by_one(Session(coded.head, threads=1), pictures)
    together = two.run({two.inputs[0]: pictures}) if _is_free(coded.head) else one_by_one(two, pictures)
    return max(changed_share(singly[tensor.name], together[tensor.name]) for tensor in coded.boundary.tensors)


def full_point(coded: CodedHalves) -> OperatingPoint:
    """The operating point at which every channel crosses."""
    return OperatingPoint(name="full", channels=tuple(tensor.channels for tensor in coded.boundary.tensors))


def golden_frames(
    coded: CodedHalves,
    points: Sequence[OperatingPoint],
    pictures: np.ndarray,
    tables: CodecTables = NO_TABLES,
    *,
    int8_head: ir.Model | None = None,
) -> GoldenFrames:
    """Run a few pictures through the shipped networks, one at a time, and keep all that happens."""
    crossing = one_by_one(Session(coded.head), pictures)
    tail = Session(coded.tail)
    codes = tuple(crossing[tensor.name] for tensor in coded.boundary.tensors)
    answers = [tail.run({name: array[index : index + 1] for name, array in crossing.items()}) for index in range(len(pictures))]
    payloads = codec_tables.golden_payloads(codes, coded.boundary, points, tables)
    outputs = {name: np.concatenate([answer[name] for answer in answers]) for name in tail.outputs}
    other = {} if int8_head is None else one_by_one(Session(int8_head), pictures)
    int8_codes = tuple(other[tensor.name] for tensor in coded.boundary.tensors if other)
    return GoldenFrames(inputs=pictures, codes=codes, outputs=outputs, payloads=payloads, int8_codes=int8_codes)


def _two_inputs(pictures: np.ndarray, *, is_free: bool) -> list[np.ndarray]:
    """Two inputs that have no picture in common: of one row and of three where the batch is free, else of one row each."""
    sizes = BATCHES if is_free else (1, 1)
    return np.split(_several(pictures, sum(sizes)), [sizes[0]])


def _several(pictures: np.ndarray, rows: int) -> np.ndarray:
    """The first `rows` pictures; where there are fewer, the same again with their values moved on, for no two may be alike."""
    count = len(pictures)
    each = pictures[0].size
    return np.stack([np.roll(pictures[row % count], row // count * (each // rows)) for row in range(rows)])


def _is_free(model: ir.Model) -> bool:
    shape = model.graph.inputs[0].shape
    return shape is None or not isinstance(shape[0], int)


def _batches(inputs: Sequence[np.ndarray]) -> str:
    sizes = [len(given) for given in inputs]
    return "two inputs of batch 1" if set(sizes) == {1} else f"batch {' and '.join(map(str, sizes))}"


def _passed(name: str, value: float, limit: float, detail: str) -> Gate:
    if not value <= limit:
        raise ExportError(f"gate {name!r} failed: {value:.3g}, at most {limit:.3g} ({detail}); nothing was written")
    return Gate(name=name, value=value, limit=limit, detail=detail)
