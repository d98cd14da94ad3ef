"""Run an ONNX model held in memory, to check what the exporter did to it."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np
import onnx_ir as ir
import onnxruntime

from isthmus.errors import ExportError, NoEnd
from isthmus.export.graph import weights
from isthmus.export.graph.flow import HALVES

HALF_TOLERANCE = 1e-2
"""Relative: float16 has steps of 2^-11, bfloat16 of 2^-8, and where onnxruntime rounds to them depends on what it fuses."""

LOOP_LIMIT_S = 60.0
"""What a run of a model with a `Loop` may take; only a loop can go on for ever, everything else is bounded by its shapes."""


class Session:
    """One onnxruntime session on the CPU, fed by name.

    Args:
        model: what to run.
        threads: of one operator.
        optimised: let onnxruntime fuse operators; without, a model computes operator by operator what it says.

    Raises:
        ExportError: onnxruntime refuses the model; the message carries its reason.
    """

    def __init__(self, model: ir.Model, *, threads: int = 1, optimised: bool = True) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # Spinning threads fight with whoever else wants the cores; a check is not worth that.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 4
        # Above `extended` kernels repack all weights, which takes two more copies of them; a check is not worth that either.
        level = onnxruntime.GraphOptimizationLevel
        options.graph_optimization_level = level.ORT_ENABLE_EXTENDED if optimised else level.ORT_DISABLE_ALL
        # An arena keeps what the widest layer needed for as long as the session lives.
        options.enable_cpu_mem_arena = False
        try:
            self._session = _open(model, options)
        except Exception as reason:
            raise ExportError(f"onnxruntime does not load the model: {_first_line(reason)}") from reason
        self._loop = next((node.name or "?" for node in model.graph.all_nodes() if node.op_type == "Loop"), None)
        self.inputs: tuple[str, ...] = tuple(value.name for value in self._session.get_inputs())
        self.outputs: tuple[str, ...] = tuple(value.name for value in self._session.get_outputs())

    def run(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Compute every output; entries of `feeds` that are no input of the model are ignored.

        Raises:
            ExportError: an input is missing, or onnxruntime fails on these arrays.
            NoEnd: a loop of the model was stopped after LOOP_LIMIT_S.
        """
        missing = [name for name in self.inputs if name not in feeds]
        if missing:
            raise ExportError(f"no array for input {', '.join(missing)} of the model")
        options = onnxruntime.RunOptions()
        try:
            with _limited(options, self._loop is not None):
                results = self._session.run(None, {name: feeds[name] for name in self.inputs}, options)
        except Exception as reason:
            if options.terminate:
                raise NoEnd(
                    f"the model was stopped after {LOOP_LIMIT_S:g} s: its Loop {self._loop} does not end, or takes too long; "
                    "export it with a fixed, small number of steps"
                ) from reason
            raise ExportError(f"onnxruntime fails on the model: {_first_line(reason)}") from reason
        return dict(zip(self.outputs, results, strict=True))


@contextmanager
def _limited(options: onnxruntime.RunOptions, is_limited: bool) -> Iterator[None]:
    """Stop the run that has these options after LOOP_LIMIT_S."""
    if not is_limited:
        yield
        return
    timer = threading.Timer(LOOP_LIMIT_S, lambda: setattr(options, "terminate", True))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _open(model: ir.Model, options: onnxruntime.SessionOptions) -> onnxruntime.InferenceSession:
    parts = weights.outlined(model)
    if parts.folder is not None:
        options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(parts.folder))
    if weights.total_bytes(model) > weights.LARGE_BYTES:
        # Packed copies would double what is mapped from the file; a check can be slower instead.
        options.add_session_config_entry("session.disable_prepacking", "1")
    lent = [onnxruntime.OrtValue.ortvalue_from_numpy(array) for array in parts.lent.values()]
    options.add_external_initializers(list(parts.lent), lent)
    return onnxruntime.InferenceSession(parts.graph, options, providers=["CPUExecutionProvider"])


def _first_line(reason: Exception) -> str:
    return str(reason).strip().splitlines()[0] if str(reason).strip() else type(reason).__name__


def tolerance(model: ir.Model, usual: float) -> float:
    """The relative difference to allow for `model`: `usual`, or HALF_TOLERANCE where it computes in half precision."""
    values = (value for node in model.graph for value in node.outputs)
    return max(usual, HALF_TOLERANCE) if any(value.dtype in HALVES for value in values) else usual


def relative_difference(got: Sequence[np.ndarray], want: Sequence[np.ndarray]) -> float:
    """Largest absolute difference of two lists of arrays, over the largest magnitude in `want` (at least 1e-3).

    Infinite when the number of arrays, a shape, or the places of NaN and infinities differ.
    """
    if len(got) != len(want):
        return float("inf")
    return max((_difference(one, other) for one, other in zip(got, want, strict=True)), default=0.0)


def _difference(got: np.ndarray, want: np.ndarray) -> float:
    if got.shape != want.shape:
        return float("inf")
    if got.dtype.kind not in "fc" or want.dtype.kind not in "fc":
        return 0.0 if np.array_equal(got, want) else float("inf")
    left, right = got.astype(np.float64), want.astype(np.float64)
    finite = np.isfinite(right)
    if not np.array_equal(left[~finite], right[~finite], equal_nan=True) or not np.isfinite(left[finite]).all():
        return float("inf")
    if not finite.any():
        return 0.0
    scale = max(float(np.abs(right[finite]).max()), 1e-3)
    return float(np.abs(left[finite] - right[finite]).max()) / scale
