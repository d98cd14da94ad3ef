"""The ledger of a run: every frame gets exactly one entry, an answer or a reason why there is none."""

import copy
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from isthmus.contract.classification import classify
from isthmus.contract.detection import detect
from isthmus.contract.manifest import Manifest
from isthmus.head.frame import Frame
from isthmus.head.record import Identity, Record
from isthmus.head.sink import Sink


@dataclass(slots=True, kw_only=True)
class Summary:
    """What a run came to."""

    frames: int = 0
    answered: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    fallbacks: Counter[str] = field(default_factory=Counter)
    """Of the answered ones, those that the device answered in place of the server, by reason."""
    late: int = 0
    """Answers of the server that came when the device had answered already."""
    delivered: int = 0
    """Answers of the server to pictures that waited on the disk, not counted in `frames`: they may be of an earlier run."""
    lost: int = 0
    """Pictures that were to be delivered and never will be."""
    payload_bytes: int = 0
    first_answer_s: float | None = None
    """From the start of the run to the first answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Which placement an answer comes from."""

    placement: str
    setting: str
    payload_bytes: int = 0
    fallback: str = ""
    """Why the device answered in place of the server, a key of `record.DROP_REASONS`; empty where that was the placement."""
    audited: bool = False
    """See `Record.audited`."""


class Ledger:
    """Writes one record for each frame to all sinks, and counts; safe for any number of threads.

    Args:
        manifest: says how outputs are read.
        device_id: goes into every record.
        deadline_s: an answer later than this after the capture counts as dropped; None: never.
        sinks: where records go.
        session: gives the id of the session at hand.
    """

    def __init__(
        self,
        manifest: Manifest,
        *,
        device_id: str,
        deadline_s: float | None,
        sinks: Sequence[Sink],
        session: Callable[[], bytes] = bytes,
    ) -> None:
        self._manifest = manifest
        self._device_id = device_id
        self._deadline_s = deadline_s
        self._sinks = sinks
        self._session = session
        self._lock = threading.Lock()
        self._started = time.monotonic()
        self.summary = Summary()

    def reading(self, manifest: Manifest, session: Callable[[], bytes], sinks: Sequence[Sink] = ()) -> "Ledger":
        """The same ledger for the answers of another bundle.

        Args:
            manifest: says how its outputs are read.
            session: gives the id of its session.
            sinks: further ones for the records of this bundle.
        """
        other = copy.copy(self)
        other._manifest, other._session, other._sinks = manifest, session, [*self._sinks, *sinks]
        return other

    def deadline_at(self, frame: Frame) -> float | None:
        """`time.monotonic` at which an answer is too late; None without a deadline."""
        return None if self._deadline_s is None else frame.captured_s + self._deadline_s

    def remaining_s(self, frame: Frame) -> float | None:
        """Time until the frame's deadline, negative when it has passed, None without one."""
        deadline_at = self.deadline_at(frame)
        return None if deadline_at is None else deadline_at - time.monotonic()

    def count_late(self) -> None:
        """An answer of the server came for a frame that the device has answered; it is not entered."""
        with self._lock:
            self.summary.late += 1

    def identify(self, frame: Frame) -> Identity:
        """Whose records those of a frame are, as of now: another session may begin before it is answered."""
        captured_at = time.time() - (time.monotonic() - frame.captured_s)
        return Identity(self._device_id, self._session().hex(), frame.sequence, frame.name, captured_at)

    def answer(
        self,
        frame: Frame,
        outputs: Mapping[str, np.ndarray],
        origin: Origin,
        stages_s: Mapping[str, float],
        *,
        identity: Identity | None = None,
        late_counts: bool = False,
    ) -> None:
        """Enter an answer; one that is late is entered as dropped.

        Args:
            frame: what was answered.
            outputs: of the network, by name, with a batch axis.
            origin: where the answer comes from.
            stages_s: seconds by stage.
            identity: of the record; None: as of now.
            late_counts: an answer that is late is an answer.

        Raises:
            ContractMismatch: the outputs are not those of the bundle; nothing was entered.
        """
        now = time.monotonic()
        latency = now - frame.captured_s
        if self._deadline_s is not None and latency > self._deadline_s and not late_counts:
            self.drop(frame, "deadline", stages_s=stages_s, detail=f"answered after {latency * 1e3:.0f} ms")
            return
        record = self._answered(identity or self.identify(frame), frame.image, outputs, origin, stages_s)
        with self._lock:
            self.summary.answered += 1
            if origin.fallback:
                self.summary.fallbacks[origin.fallback] += 1
            self.summary.payload_bytes += origin.payload_bytes
            if self.summary.first_answer_s is None:
                self.summary.first_answer_s = now - self._started
        self._write(replace(record, latency_s=latency))

    def drop(self, frame: Frame, reason: str, *, stages_s: Mapping[str, float], detail: str = "") -> None:
        """Enter a frame without an answer; `reason` is a key of `record.DROP_REASONS`."""
        with self._lock:
            self.summary.dropped[reason] += 1
        identity = self.identify(frame)
        self._write(replace(_dropped(identity, reason, detail), picture=frame.image, stages_s=dict(stages_s)))

    def deliver(
        self,
        identity: Identity,
        picture: np.ndarray,
        outputs: Mapping[str, np.ndarray],
        origin: Origin,
        stages_s: Mapping[str, float],
    ) -> None:
        """Enter the server's answer to a frame whose picture waited on the disk, perhaps since an earlier run.

        Raises:
            ContractMismatch: the outputs are not those of the bundle; nothing was entered.
        """
        record = self._answered(identity, picture, outputs, origin, stages_s)
        with self._lock:
            self.summary.delivered += 1
        self._tell(replace(record, queued=True, captured_at=identity.captured_at))

    def dismiss(self, identity: Identity, reason: str) -> None:
        """Enter a frame whose picture waited on the disk, and in which there is nothing that anybody wants to know."""
        with self._lock:
            self.summary.dropped[reason] += 1
        self._tell(replace(_dropped(identity, reason, ""), queued=True, captured_at=identity.captured_at))

    def lose(self, identity: Identity, reason: str, detail: str) -> None:
        """Enter a frame whose picture waited on the disk and will never be answered."""
        with self._lock:
            self.summary.lost += 1
        self._tell(replace(_dropped(identity, reason, detail), queued=True, captured_at=identity.captured_at))

    def _answered(
        self,
        identity: Identity,
        picture: np.ndarray,
        outputs: Mapping[str, np.ndarray],
        origin: Origin,
        stages_s: Mapping[str, float],
    ) -> Record:
        kind = self._manifest.task.kind
        classification = classify(outputs, self._manifest) if kind == "classification" else None
        height, width = picture.shape[:2]
        detections = detect(outputs, self._manifest, width=width, height=height) if kind == "detection" else None
        return Record(
            device=identity.device,
            session=identity.session,
            sequence=identity.sequence,
            name=identity.name,
            placement=origin.placement,
            setting=origin.setting,
            fallback=origin.fallback,
            classification=classification,
            detections=detections,
            outputs=outputs,
            picture=picture,
            stages_s=dict(stages_s),
            payload_bytes=origin.payload_bytes,
            audited=origin.audited,
        )

    def _write(self, record: Record) -> None:
        with self._lock:
            self.summary.frames += 1
        self._tell(record)

    def _tell(self, record: Record) -> None:
        for sink in self._sinks:
            sink.write(record)


def _dropped(identity: Identity, reason: str, detail: str) -> Record:
    return Record(
        device=identity.device,
        session=identity.session,
        sequence=identity.sequence,
        name=identity.name,
        placement="drop",
        reason=reason,
        detail=detail,
    )
