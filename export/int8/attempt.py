"""Whether an int8 head is worth shipping: make it, time it beside the float head, and compare what both say.

Both are run in turns in one process on one thread, so that whatever else the machine does meets both alike; the medians count.
Of the two kinds of activations the faster is taken, and `int8`, which TensorRT reads, where it is about as fast.
"""

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import onnx_ir as ir

from isthmus.contract.manifest import Int8Head
from isthmus.contract.prepare import Preparation, prepare
from isthmus.devices.runtime import Network, changed_share
from isthmus.errors import BundleError, DeviceError, ExportError
from isthmus.export.bottlenecks.halves import CodedHalves, one_by_one
from isthmus.export.graph import weights
from isthmus.export.graph.session import Session
from isthmus.export.int8 import qdq
from isthmus.export.int8.ranges import KINDS, Kind
from isthmus.export.samples import Samples

Choice = Literal["auto", "on", "off"]

CALIBRATION_PICTURES = 32
"""A range of 8 bits is found on few pictures; every one costs a run of the float head that keeps all its tensors."""
ROUNDS = 15
FASTER = 0.95
"""Part of the float head's time that an int8 head may take: codes that differ are not worth less than one part in twenty."""
ABOUT_AS_FAST = 1.05
"""What `int8` activations may take of the time of `uint8` ones and be preferred."""
CHANGED_CODES_FLOOR = 0.005
"""Integer sums are the same everywhere, but each layer rounds its own result and passes a difference on."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Candidate:
    """What came of it.

    Attributes:
        model: the int8 head; None if it is not worth shipping.
        record: for the manifest.
    """

    model: ir.Model | None
    record: Int8Head

    def without(self, reason: str) -> "Candidate":
        """The same, not shipped."""
        return Candidate(model=None, record=self.record.model_copy(update={"shipped": False, "reason": reason}))


def attempt(
    coded: CodedHalves,
    samples: Samples,
    preparation: Preparation,
    frames: np.ndarray,
    choice: Choice,
    *,
    kinds: Sequence[Kind] = KINDS,
    on_step: Callable[[str], None] = lambda _words: None,
) -> Candidate | None:
    """Make an int8 head, unless it is not wanted.

    Args:
        coded: with the float head.
        samples: pictures to calibrate on.
        preparation: how they become the input.
        frames: float32[n, ...] prepared pictures that calibration does not see, to compare codes on.
        choice: `auto` gives the head if it is faster here, `on` in any case, `off` never.
        kinds: of activations to try; `int8` alone where zero points other than 0 are not taken.
        on_step: told what came of it, in one line.

    Returns:
        None for `off`; else the record, with the head where it is to be shipped.

    Raises:
        ExportError: `on`, and the head cannot be quantised.
    """
    if choice == "off":
        return None
    if qdq.is_quantised(coded.head):
        return _without("the network came in quantised", on_step)
    few = samples.pictures[:: max(1, len(samples) // CALIBRATION_PICTURES)][:CALIBRATION_PICTURES]
    try:
        plan = qdq.plan(coded.head, (prepare(picture, preparation) for picture in few))
        heads = {kind: qdq.applied(plan, coded.boundary, kind) for kind in kinds}
        trial = _Trial(coded.head, heads, frames)
    except (ExportError, BundleError, DeviceError) as error:
        if choice == "on":
            raise ExportError(f"--int8 on: {error}; leave it out") from error
        return _without(str(error), on_step)
    return _chosen(heads[trial.kind], trial.record(is_wanted=choice == "on"), on_step)


def interleaved(networks: Mapping[str, Network], frame: np.ndarray, rounds: int = ROUNDS) -> dict[str, float]:
    """Median milliseconds of each network on one frame, all in turns, on one thread as on the device."""
    durations: dict[str, list[float]] = {name: [] for name in networks}
    for turn in range(rounds + 1):
        for name, network in networks.items():
            feeds = {network.inputs[0].name: frame}
            started = time.perf_counter()
            network.run(feeds)
            if turn:
                durations[name].append(time.perf_counter() - started)
    return {name: float(np.median(found)) * 1e3 for name, found in durations.items()}


class _Trial:
    """The float head and the int8 heads on the same frames."""

    def __init__(self, head: ir.Model, heads: Mapping[Kind, ir.Model], frames: np.ndarray) -> None:
        with tempfile.TemporaryDirectory(prefix="isthmus-int8-") as folder:
            networks: dict[str, Network] = {}
            models: dict[str, ir.Model] = {"float": head, **{str(kind): model for kind, model in heads.items()}}
            for name, model in models.items():
                weights.save(model, Path(folder) / f"{name}.onnx")
                networks[name] = Network.load(Path(folder) / f"{name}.onnx")
            self.times_ms = interleaved(networks, frames[:1])
        fastest = min(heads, key=lambda kind: self.times_ms[kind])
        is_near = "int8" in heads and self.times_ms["int8"] <= ABOUT_AS_FAST * self.times_ms[fastest]
        self.kind: Kind = "int8" if is_near else fastest
        codes = one_by_one(Session(heads[self.kind]), frames)
        self.changed = _share(codes, one_by_one(Session(head), frames))
        self.changed_by_order = _share(codes, one_by_one(Session(heads[self.kind], threads=2), frames))

    def record(self, *, is_wanted: bool) -> Int8Head:
        """What the manifest says of it; a head that is wanted is shipped even if it is slower."""
        float_ms, int8_ms = self.times_ms["float"], self.times_ms[self.kind]
        is_faster = int8_ms <= FASTER * float_ms
        return Int8Head(
            shipped=is_faster or is_wanted,
            reason="" if is_faster else "it is slower" if int8_ms > float_ms else f"it takes more than {FASTER} of the time",
            activations=self.kind,
            float_ms=round(float_ms, 4),
            int8_ms=round(int8_ms, 4),
            other_ms={name: round(found, 4) for name, found in self.times_ms.items() if name not in ("float", self.kind)},
            changed_code_share=self.changed,
            changed_code_share_max=min(1.0, max(CHANGED_CODES_FLOOR, 4 * self.changed_by_order)),
        )


def _share(codes: Mapping[str, np.ndarray], wanted: Mapping[str, np.ndarray]) -> float:
    return max(changed_share(codes[name], wanted[name]) for name in wanted)


def _chosen(head: ir.Model, record: Int8Head, on_step: Callable[[str], None]) -> Candidate:
    words = (
        f"int8 head: {record.int8_ms:.2f} ms, float {record.float_ms:.2f} ms, {record.changed_code_share:.1%} of the codes differ"
    )
    if record.shipped and record.reason:
        words += "; it is slower, and shipped all the same"
    on_step(words if record.shipped else f"{words}; not shipped")
    return Candidate(model=head if record.shipped else None, record=record)


def _without(reason: str, on_step: Callable[[str], None]) -> Candidate:
    on_step(f"no int8 head: {reason}")
    return Candidate(model=None, record=Int8Head(shipped=False, reason=reason))
