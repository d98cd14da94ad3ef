"""One `ModelInferRequest`, checked against the model that it is for.

What a request declares is compared with the model first: names, data types, shapes, counts. Only what fits is read. A tensor has
at most `rows_max` frames of a size that the model knows or, where it leaves an axis free, as many elements as a message has room
for, so nothing is allocated that did not arrive.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from isthmus.contract import tensor
from isthmus.contract.generated import open_inference_pb2 as wire
from isthmus.devices.runtime import Port
from isthmus.errors import RemoteProtocolError
from isthmus.tail.inference import contents
from isthmus.tail.interface import Interface
from isthmus.tail.settings import ServerSettings

_SHOWN = 64
"""Characters of a client's text in a message."""
_ELSEWHERE = {
    "shared_memory_region": "this server shares no memory with clients; send the bytes",
    "classification": "this server does not rank classes; ask for the scores",
}
"""Parameters of tensors that change what is sent or answered; not to heed them would give something else than was asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What a request declares, after it was found to fit."""

    shapes: Mapping[str, tuple[int, ...]]
    """Of every input, in the order of the request."""
    rows: int
    """Frames in it."""
    outputs: tuple[str, ...]
    """Names to answer with."""
    timeout_s: float | None
    """After which no answer is wanted."""

    @property
    def elements(self) -> int:
        """Of all inputs together."""
        return sum(math.prod(shape) for shape in self.shapes.values())


def check(request: wire.ModelInferRequest, interface: Interface, settings: ServerSettings) -> Question:
    """Compare what a request declares with the model.

    Raises:
        RemoteProtocolError: it does not fit; says in one line what and why.
    """
    if len(request.id.encode()) > settings.limits.text_bytes:
        raise RemoteProtocolError(f"the id has {len(request.id.encode())} bytes, at most {settings.limits.text_bytes} are taken")
    inputs = request.inputs
    _check_names("inputs", (given.name for given in inputs), len(inputs), interface.inputs)
    raw = len(request.raw_input_contents)
    if raw not in (0, len(inputs)):
        raise RemoteProtocolError(f"{raw} raw_input_contents came for {len(inputs)} inputs; give one for each, or none")
    shapes = {given.name: _shape(given, interface.inputs[given.name], settings) for given in inputs}
    for given in inputs:
        _check_parameters(f"input {given.name!r}", given.parameters)
        if raw and given.contents.ListFields():
            raise RemoteProtocolError(f"input {given.name!r} has contents and raw_input_contents; give one of them")
        if not raw and not given.HasField("contents"):
            raise RemoteProtocolError(f"input {given.name!r} has neither contents nor raw_input_contents")
    return Question(
        shapes=shapes,
        rows=_rows(shapes),
        outputs=_outputs(request, interface),
        timeout_s=_timeout_s(request),
    )


def unpack(
    request: wire.ModelInferRequest, question: Question, interface: Interface, *, refuse_nonfinite: bool
) -> dict[str, np.ndarray]:
    """Read the tensors of a request that fits.

    Returns:
        By name; where they came as raw bytes, read-only views of them.

    Raises:
        RemoteProtocolError: fewer or more data than the shape has, a code out of range, or NaN or infinity if they are refused.
    """
    tensors = {}
    for index, given in enumerate(request.inputs):
        port, shape, said = interface.inputs[given.name], question.shapes[given.name], repr(given.name)
        if request.raw_input_contents:
            array = tensor.view(request.raw_input_contents[index], port.dtype, shape, said=said)
        else:
            array = contents.unpack(given.contents, port.dtype, shape, said=said)
        _check_values(array, said, interface, given.name, refuse_nonfinite)
        tensors[given.name] = array
    return tensors


def _check_names(what: str, given: Iterable[str], count: int, known: Mapping[str, Port]) -> None:
    """All of the known names, each once."""
    if count == len(known) and set(given := list(given)) == set(known):
        return
    if count > len(known) + 1:
        raise RemoteProtocolError(f"{count} {what} came, the model has {len(known)}: {_listed(known)}")
    raise RemoteProtocolError(f"the {what} are {_listed(given) or 'none'}; the model has {_listed(known)}, each once")


def _listed(names: Iterable[str]) -> str:
    return ", ".join(repr(name[:_SHOWN]) for name in names)


def _shape(given: wire.ModelInferRequest.InferInputTensor, port: Port, settings: ServerSettings) -> tuple[int, ...]:
    """The shape of an input that has the right data type and fits."""
    wanted = tensor.datatype(port.dtype)
    if given.datatype != wanted:
        raise RemoteProtocolError(f"input {given.name!r} has data type {given.datatype[:_SHOWN]!r}, the model takes {wanted}")
    if len(given.shape) != len(port.shape):
        raise RemoteProtocolError(f"input {given.name!r} has {len(given.shape)} axes, the model takes {_spelled(port)}")
    shape = tuple(given.shape)
    if any(have != want if want is not None else have < 1 for have, want in zip(shape, port.shape, strict=True)):
        raise RemoteProtocolError(f"input {given.name!r} has shape {list(shape)}, the model takes {_spelled(port)}")
    if port.shape[:1] == (None,) and shape[0] > settings.rows_max:
        raise RemoteProtocolError(f"input {given.name!r} has {shape[0]} frames, at most {settings.rows_max} are taken at once")
    if math.prod(shape) > settings.limits.message_bytes:
        raise RemoteProtocolError(f"input {given.name!r} has shape {list(shape)}, which no message has room for")
    return shape


def _spelled(port: Port) -> str:
    return "[" + ", ".join("any" if size is None else str(size) for size in port.shape) + "]"


def _rows(shapes: Mapping[str, tuple[int, ...]]) -> int:
    counts = {name: shape[0] if shape else 1 for name, shape in shapes.items()}
    if len(set(counts.values())) != 1:
        raise RemoteProtocolError(f"the inputs have {', '.join(f'{n} frames of {name!r}' for name, n in counts.items())}")
    return next(iter(counts.values()))


def _outputs(request: wire.ModelInferRequest, interface: Interface) -> tuple[str, ...]:
    if not request.outputs:
        return tuple(interface.outputs)
    if len(request.outputs) > len(interface.outputs):
        raise RemoteProtocolError(f"{len(request.outputs)} outputs are asked for, the model has {len(interface.outputs)}")
    names = tuple(wanted.name for wanted in request.outputs)
    if len(set(names)) != len(names) or not set(names) <= set(interface.outputs):
        raise RemoteProtocolError(f"outputs {_listed(names)} are asked for; the model has {_listed(interface.outputs)}")
    for wanted in request.outputs:
        _check_parameters(f"output {wanted.name!r}", wanted.parameters)
    return names


def _check_parameters(what: str, given: Mapping[str, wire.InferParameter]) -> None:
    if given:
        for name, why in _ELSEWHERE.items():
            if name in given:
                raise RemoteProtocolError(f"{what} has the parameter {name!r}: {why}")


def _timeout_s(request: wire.ModelInferRequest) -> float | None:
    """The parameter `timeout`, in microseconds as Triton has it; 0 is none."""
    if "timeout" not in request.parameters:
        return None
    given = request.parameters["timeout"]
    kind = given.WhichOneof("parameter_choice")
    if kind not in ("int64_param", "uint64_param") or getattr(given, kind) < 0:
        raise RemoteProtocolError(
            "the parameter 'timeout' is a number of microseconds, 0 or more, as int64_param or uint64_param"
        )
    return getattr(given, kind) / 1e6 or None


def _check_values(array: np.ndarray, said: str, interface: Interface, name: str, refuse_nonfinite: bool) -> None:
    codes = interface.codes.get(name)
    if codes is not None:
        low, high = int(array.min()), int(array.max())
        if low < codes.lowest or high > codes.highest:
            raise RemoteProtocolError(
                f"tensor {said} has codes of {low}..{high}, {codes.bits} bits allow {codes.lowest}..{codes.highest}"
            )
    elif refuse_nonfinite and array.dtype.kind == "f" and not np.isfinite(array).all():
        raise RemoteProtocolError(f"tensor {said} has NaN or infinity, which this server refuses")
