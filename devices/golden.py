"""The golden frames of a bundle: inputs, codes, payloads and outputs as the exporting machine computed them.

Whoever loads a bundle can run them again. Codecs must agree bit for bit on every machine; head codes may differ in the share that
the manifest allows (a value next to a rounding boundary falls either way when instruction sets sum in another order), and outputs
within a tolerance.

`golden.npz` holds, for n frames: `input` float[n, ...]; `codes_<i>` of the i-th boundary tensor, int8 or uint8[n, *shape], and
`codes_int8_<i>` those of the int8 head if there is one; `outputs_<name>` [n, ...]; `filter_scores` float32[n], what the neural
filter, if there is one, gives to `codes_<i>`; `payload_<mode>_<frame>_<point>`
uint8[length], one payload of the codec each. A temporal one builds on the golden frame before its own, the first one on the last.
Where there is a `local.onnx`, `local_<name>` [n, ...] are its outputs.
"""

import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from isthmus.codec import tables
from isthmus.codec.codec import Codec
from isthmus.codec.payload import Mode
from isthmus.contract import overlap
from isthmus.contract.bundle import Bundle
from isthmus.contract.filter import FILTER
from isthmus.contract.manifest import Gate, Task
from isthmus.devices.filtering import FilterNetwork
from isthmus.devices.runtime import Network, changed_share, relative_error
from isthmus.errors import BundleError, RemoteProtocolError

HEAD = "head.onnx"
INT8_HEAD = "head.int8.onnx"
"""The head in float32, which every bundle has, and the one in int8."""
LOCAL = "local.onnx"
"""What the device runs alone when no server answers in time; in bundles that were exported with it."""
GOLDEN_NAME = "golden.npz"
OUTPUT_ERROR_MAX = 1e-3
"""Relative to the largest output: float32 sums in another order stay below 1e-4, a wrong network is far above."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldenFrames:
    """What `golden.npz` holds.

    Attributes:
        inputs: float[n, ...], as the head takes them.
        codes: for each boundary tensor int8 or uint8[n, *shape].
        outputs: by name [n, ...].
        payloads: (mode, frame, point) -> bytes.
        int8_codes: as `codes`, of the int8 head; empty where the bundle has none.
        local_outputs: as `outputs`, of `local.onnx`; empty where the bundle has none.
        scores: float32[n], what the neural filter gives to `codes`; empty where the bundle has none.
    """

    inputs: np.ndarray
    codes: tuple[np.ndarray, ...]
    outputs: dict[str, np.ndarray]
    payloads: dict[tuple[Mode, int, int], bytes]
    int8_codes: tuple[np.ndarray, ...] = ()
    local_outputs: dict[str, np.ndarray] = field(default_factory=dict)
    scores: tuple[float, ...] = ()

    def __len__(self) -> int:
        return len(self.codes[0])

    def arrays(self) -> dict[str, np.ndarray]:
        """As arrays of an npz file."""
        named = {"input": self.inputs}
        named |= {f"codes_{index}": codes for index, codes in enumerate(self.codes)}
        named |= {f"codes_int8_{index}": codes for index, codes in enumerate(self.int8_codes)}
        named |= {"filter_scores": np.array(self.scores, np.float32)} if self.scores else {}
        named |= {f"outputs_{name}": output for name, output in self.outputs.items()}
        named |= {f"local_{name}": output for name, output in self.local_outputs.items()}
        for (mode, frame, point), payload in self.payloads.items():
            named[f"payload_{mode.name}_{frame}_{point}"] = np.frombuffer(payload, dtype=np.uint8)
        return named


def read(bundle: Bundle) -> GoldenFrames:
    """Read the golden frames of a bundle.

    Raises:
        BundleError: there are none, or they do not fit the manifest.
    """
    path = bundle.path(GOLDEN_NAME)
    manifest = bundle.manifest
    try:
        # numpy leaves a file open that turns out not to be a zip; this one is ours to close.
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
            tensors = range(len(manifest.boundary.tensors))
            frames = GoldenFrames(
                inputs=arrays["input"],
                codes=tuple(arrays[f"codes_{index}"] for index in tensors),
                int8_codes=tuple(arrays[f"codes_int8_{index}"] for index in tensors) if bundle.has(INT8_HEAD) else (),
                scores=tuple(map(float, arrays["filter_scores"])) if bundle.has(FILTER) else (),
                outputs={port.name: arrays[f"outputs_{port.name}"] for port in manifest.outputs},
                local_outputs={port.name: arrays[f"local_{port.name}"] for port in manifest.outputs if bundle.has(LOCAL)},
                payloads={_key(name): array.tobytes() for name, array in arrays.items() if name.startswith("payload_")},
            )
    except KeyError as error:
        raise BundleError(f"{bundle.origin}: {GOLDEN_NAME} lacks {error.args[0]}; export the bundle again") from error
    except (OSError, ValueError, EOFError, TypeError, zipfile.BadZipFile, zlib.error) as error:
        raise BundleError(f"{bundle.origin}: {GOLDEN_NAME} cannot be read ({error})") from error
    _check_numeric(bundle, frames)
    outputs = (*frames.outputs.values(), *frames.local_outputs.values())
    lengths = {len(frames.inputs), *map(len, frames.codes), *map(len, frames.int8_codes), *map(len, outputs)}
    if len(lengths) != 1 or 0 in lengths:
        raise BundleError(f"{bundle.origin}: {GOLDEN_NAME} holds {sorted(lengths)} frames in its arrays; they must agree")
    if bundle.has(FILTER) and len(frames.scores) != len(frames):
        raise BundleError(f"{bundle.origin}: {GOLDEN_NAME} holds {len(frames.scores)} filter scores for {len(frames)} frames")
    for frame in range(len(frames)):
        for crossing in (frames.codes, frames.int8_codes):
            if crossing:
                manifest.boundary.check([codes[frame] for codes in crossing])
    return frames


def _check_numeric(bundle: Bundle, frames: GoldenFrames) -> None:
    outputs = (*frames.outputs.values(), *frames.local_outputs.values())
    for array in (frames.inputs, *frames.codes, *frames.int8_codes, *outputs):
        if array.dtype.kind not in "fiub" or not array.ndim:
            raise BundleError(
                f"{bundle.origin}: {GOLDEN_NAME} holds {array.dtype}{list(array.shape)}; numbers [frame, ...] are needed"
            )


def _key(name: str) -> tuple[Mode, int, int]:
    _, mode, frame, point = name.split("_")
    try:
        return Mode[mode], int(frame), int(point)
    except KeyError as error:
        raise ValueError(f"codec mode {mode!r} is unknown here") from error


def check_codec(bundle: Bundle, frames: GoldenFrames) -> Gate:
    """Decode every golden payload, and encode its codes again: all must be equal to the bit.

    Payloads of Zstandard are not compared after encoding: another version of it may choose other matches.

    Raises:
        BundleError: a payload is missing, gives other codes, or codes give another payload.
    """
    _check_complete(bundle, frames)
    coders = tables.of_bundle(bundle)
    manifest = bundle.manifest
    codec = Codec(manifest.boundary, manifest.points, tables=coders)
    for key, payload in frames.payloads.items():
        mode, frame, point = key
        wanted = _kept(codec, frames, frame, point)
        # The frame before the first one is the last one: index -1.
        reference = _kept(codec, frames, frame - 1, point) if mode is Mode.TEMPORAL else None
        try:
            found = codec.decode(payload, point=point, reference=reference)
        except RemoteProtocolError as error:
            raise BundleError(
                f"{bundle.origin}: golden payload {frame} ({mode.name.lower()}) cannot be decoded: {error}"
            ) from error
        if not _equal(found, wanted):
            raise BundleError(
                f"{bundle.origin}: golden payload {frame} ({mode.name.lower()}) decodes to other codes; the codecs differ"
            )
        only = Codec(manifest.boundary, manifest.points, [mode], tables=coders)
        again = only.encode(wanted, point=point, reference=reference)
        if mode is not Mode.ZSTD and again != payload:
            raise BundleError(f"{bundle.origin}: golden codes {frame} encode to other bytes; the codecs differ")
        if not _equal(only.decode(again, point=point, reference=reference), wanted):
            raise BundleError(f"{bundle.origin}: golden codes {frame} do not survive mode {mode.name.lower()}")
    return Gate(name="codec", value=0.0, limit=0.0, detail=f"{len(frames.payloads)} golden payloads, bit for bit")


def _kept(codec: Codec, frames: GoldenFrames, frame: int, point: int) -> tuple[np.ndarray, ...]:
    return codec.kept([codes[frame] for codes in frames.codes], point=point)


def _equal(found: Sequence[np.ndarray], wanted: Sequence[np.ndarray]) -> bool:
    return all(np.array_equal(one, other) for one, other in zip(found, wanted, strict=True))


def _check_complete(bundle: Bundle, frames: GoldenFrames) -> None:
    """Every frame at every point has a raw payload, and no payload is of a frame or point that does not exist."""
    wanted = {(frame, point) for frame in range(len(frames)) for point in range(len(bundle.manifest.points))}
    missing = wanted - {(frame, point) for mode, frame, point in frames.payloads if mode is Mode.RAW}
    foreign = {(frame, point) for _, frame, point in frames.payloads} - wanted
    for words, places in (("lacks the", missing), ("has a foreign", foreign)):
        if places:
            frame, point = min(places)
            raise BundleError(
                f"{bundle.origin}: {GOLDEN_NAME} {words} payload of frame {frame} at point {point}; "
                f"it has {len(frames)} frames, the manifest {len(bundle.manifest.points)} points; export the bundle again"
            )


def check_head(bundle: Bundle, frames: GoldenFrames, network: Network) -> Gate:
    """Run the golden inputs through a head, frame by frame as the agent does.

    Args:
        bundle: where it comes from.
        frames: the bundle's golden frames.
        network: `head.onnx`, or `head.int8.onnx`, which has codes and a limit of its own.

    Raises:
        BundleError: more codes differ than the manifest allows.
    """
    name = bundle.manifest.input.name
    is_int8 = network.name == INT8_HEAD
    golden_codes = frames.int8_codes if is_int8 else frames.codes
    shares = []
    for frame in range(len(frames)):
        outputs = network.run({name: frames.inputs[frame : frame + 1]})
        for tensor, codes in zip(bundle.manifest.boundary.tensors, golden_codes, strict=True):
            if tensor.name not in outputs:
                raise BundleError(f"{bundle.origin}: the head gives {', '.join(outputs)}, the boundary wants {tensor.name!r}")
            shares.append(changed_share(outputs[tensor.name][0], codes[frame]))
    share, limit = float(np.mean(shares)), bundle.manifest.changed_code_share_max
    if is_int8 and bundle.manifest.int8 is not None:
        limit = bundle.manifest.int8.changed_code_share_max
    return _passed(
        bundle,
        "int8 head codes" if is_int8 else "head codes",
        share,
        limit,
        f"share of changed codes, {len(frames)} golden frames",
    )


def check_tail(bundle: Bundle, frames: GoldenFrames, network: Network) -> Gate:
    """Run the golden codes through the tail, frame by frame.

    Raises:
        BundleError: an output differs by more than the tolerance.
    """
    tensors = bundle.manifest.boundary.tensors
    feeds = [
        {tensor.name: codes[frame : frame + 1] for tensor, codes in zip(tensors, frames.codes, strict=True)}
        for frame in range(len(frames))
    ]
    return _check_outputs(bundle, "tail", network, feeds, frames.outputs, difference_max(bundle.manifest.task))


def check_local(bundle: Bundle, frames: GoldenFrames, network: Network) -> Gate:
    """Run the golden inputs through `local.onnx`, frame by frame.

    Raises:
        BundleError: an output differs by more than the manifest allows, or the manifest does not speak of it.
    """
    record, name = bundle.manifest.local, bundle.manifest.input.name
    if record is None:
        raise BundleError(f"{bundle.origin} holds {LOCAL}, and its manifest does not say what that is; export the bundle again")
    feeds = [{name: frames.inputs[frame : frame + 1]} for frame in range(len(frames))]
    return _check_outputs(bundle, "local", network, feeds, frames.local_outputs, record.output_error_max)


def _check_outputs(
    bundle: Bundle,
    side: str,
    network: Network,
    feeds: Sequence[Mapping[str, np.ndarray]],
    golden: Mapping[str, np.ndarray],
    limit: float,
) -> Gate:
    task, errors = bundle.manifest.task, []
    for frame, given in enumerate(feeds):
        outputs = network.run(given)
        wanted = {name: output[frame : frame + 1] for name, output in golden.items()}
        missing = [name for name in wanted if name not in outputs]
        if missing:
            raise BundleError(
                f"{bundle.origin}: the {side} network gives {', '.join(outputs)}, the manifest promises {missing[0]!r}"
            )
        errors.append(output_difference(task, outputs, wanted))
    what = "share of boxes that differ" if task.kind == "detection" else "largest relative difference"
    return _passed(bundle, f"{side} outputs", max(errors), limit, f"{what}, {len(feeds)} golden frames")


def check_filter(bundle: Bundle, frames: GoldenFrames, network: FilterNetwork) -> Gate:
    """Run the golden codes through the neural filter, frame by frame.

    Raises:
        BundleError: a score differs by more than the tolerance.
    """
    scores = [network.score([codes[frame : frame + 1] for codes in frames.codes]) for frame in range(len(frames))]
    error = relative_error(np.concatenate(scores), np.array(frames.scores, np.float32))
    return _passed(bundle, "filter scores", error, OUTPUT_ERROR_MAX, f"largest relative difference, {len(frames)} golden frames")


def output_difference(task: Task, got: Mapping[str, np.ndarray], want: Mapping[str, np.ndarray]) -> float:
    """How far answers of one network lie apart; see `difference_max`.

    A detector's boxes are compared as boxes: the last digit of a score decides which of two overlapping ones is left.

    Args:
        task: what the outputs mean.
        got: by name, [n, ...], at least the names in `want`.
        want: by name, [n, ...].

    Raises:
        ContractMismatch: a detector's outputs are not those of a detector.
    """
    if task.kind == "detection":
        return overlap.difference(got, want)
    return max(relative_error(got[name], wanted) for name, wanted in want.items())


def difference_max(task: Task) -> float:
    """Up to here two answers count as the same."""
    return overlap.DIFFERENCE_MAX if task.kind == "detection" else OUTPUT_ERROR_MAX


def _passed(bundle: Bundle, name: str, value: float, limit: float, detail: str) -> Gate:
    if not value <= limit:
        raise BundleError(f"{bundle.origin} fails the gate {name!r} here: {value:.3g}, at most {limit:.3g} ({detail})")
    return Gate(name=name, value=value, limit=limit, detail=detail)
