"""Does an ONNX model compute what its torch module computes?

Two float32 programs differ by their rounding, and a network may amplify that: sharp attention turns the last bit into a
thousandth. So where they differ by more than a plain network does, torch in float64 is the judge: the ONNX model may be some
times as far from it as torch's own float32 is, up to a bound. A fault is as large whatever the rounding.
"""

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
import torch
from torch.utils import _pytree

from isthmus.errors import ExportError
from isthmus.export.doors import tracing
from isthmus.export.graph.session import Session, relative_difference, tolerance

USUAL = 1e-4
"""Largest relative difference that needs no judge; deep float32 networks reach it by the order of their sums alone."""
WITHOUT_JUDGE = 1e-3
"""The same where torch does not run in float64."""
AS_FAR = 10.0
"""Times as far from float64 as torch itself: torch adds in pairs, onnxruntime often one after the other, which rounds more."""
BOUND = 1e-2
"""What amplified rounding may come to. Beyond it an answer hangs on the last bit, and no comparison says anything."""
SELECTING = frozenset({"ArgMax", "ArgMin", "Hardmax", "NonMaxSuppression", "NonZero", "TopK"})
"""Operators whose answer jumps where two scores tie."""

Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What came of it.

    Attributes:
        difference: of the largest output, relative; from torch, or from torch in float64 where that was the judge.
        allowed: how large it may be.
        words: who the judge was and what it found; empty where none was needed.
        advice: what to do about a difference.
    """

    difference: float
    allowed: float
    words: str = ""
    advice: str = "look for operations that change their input in place"

    @property
    def is_equal(self) -> bool:
        """False for NaN too."""
        return self.difference <= self.allowed


def check_equal(module: torch.nn.Module, model: ir.Model, feeds: Arrays) -> None:
    """Compare module and ONNX model on the same arrays.

    Raises:
        ExportError: they differ, or torch does not run on these arrays.
    """
    found = compared(module, model, [feeds])
    if not found.is_equal:
        judge = f" {found.words}" if found.words else ""
        raise ExportError(
            f"the ONNX model differs from its torch module by {found.difference:.2g} of the largest output{judge}, "
            f"{found.allowed:.2g} is allowed; {found.advice}"
        )


def compared(module: torch.nn.Module, model: ir.Model, several: Sequence[Arrays]) -> Comparison:
    """Compare module and ONNX model on each of several feeds; the worst counts.

    Raises:
        ExportError: torch or onnxruntime does not run on one of them.
    """
    session = Session(model)
    answers = [list(session.run(feeds).values()) for feeds in several]
    own = [_answer(module, feeds) for feeds in several]
    differences = [relative_difference(got, want) for got, want in zip(answers, own, strict=True)]
    worst = int(np.argmax(differences))
    usual = tolerance(model, USUAL)
    if differences[worst] <= usual:
        return Comparison(difference=differences[worst], allowed=usual)
    exact = _exact_answer(module, several[worst])
    if exact is None:
        words = "(torch does not run it in float64, which would tell rounding from a fault)"
        return Comparison(difference=differences[worst], allowed=max(usual, WITHOUT_JUDGE), words=words)
    far, rounding = relative_difference(answers[worst], exact), relative_difference(own[worst], exact)
    return Comparison(
        difference=far,
        allowed=min(max(usual, AS_FAR * rounding), max(usual, BOUND)),
        words=f"in float64, of which torch's own float32 is {rounding:.2g} off",
        **({} if rounding <= BOUND else {"advice": _advice(model)}),
    )


def _advice(model: ir.Model) -> str:
    selecting = next((node for node in model.graph if node.op_type in SELECTING), None)
    if selecting is None:
        return "its weights amplify rounding beyond use; give trained ones, or a model in float32"
    return (
        f"{selecting.op_type} ({selecting.name}) chooses between scores that tie but for rounding, as untrained weights give "
        "them; give trained weights"
    )


def _answer(module: torch.nn.Module, feeds: Arrays) -> list[np.ndarray]:
    try:
        with torch.no_grad():
            return _arrays(module(*(torch.from_numpy(np.ascontiguousarray(array)) for array in feeds.values())))
    except Exception as reason:  # torch raises whatever the module's code raises
        raise ExportError(f"the module fails on its inputs: {tracing.reason_of(reason)}") from reason


def _exact_answer(module: torch.nn.Module, feeds: Arrays) -> list[np.ndarray] | None:
    """The answer of a copy in float64; None where the module insists on another type or gives something else."""
    wide = [torch.from_numpy(array.astype(np.float64) if array.dtype.kind == "f" else array) for array in feeds.values()]
    try:
        with torch.no_grad(), _float64():
            return _arrays(copy.deepcopy(module).double()(*wide))
    except Exception:  # as above; what fails here only cannot be a judge
        return None


def _arrays(answer: object) -> list[np.ndarray]:
    return [leaf.numpy() for leaf in _pytree.tree_leaves(answer) if isinstance(leaf, torch.Tensor)]


@contextmanager
def _float64() -> Iterator[None]:
    """Tensors that a forward makes on its way are float64 too."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(before)
