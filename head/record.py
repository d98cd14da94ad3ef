"""One line for every frame: what became of it. This is what sinks get and what measurement reads."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from isthmus.contract.classification import Classification
from isthmus.contract.detection import Detection
from isthmus.contract.picture import Picture

DROP_REASONS = {
    "gate": "the motion gate saw nothing move",
    "filter": "the neural filter saw nothing in its codes",
    "spared": "frames were left out because the device is hot or its battery is low",
    "newer": "a newer frame took its place while it waited for a credit",
    "deadline": "its deadline passed before it was answered",
    "link": "the link was down or broke while it was in flight",
    "server": "the server refused it or failed on it, or its answer cannot be read",
    "stopped": "the run was stopped before its turn came",
    "queue": "it was to be delivered, and its picture gave way to newer ones, grew too old, or was damaged on the disk",
}


@dataclass(frozen=True, slots=True)
class Identity:
    """Which frame of which device; records with the same device, session and sequence are of the same frame.

    Attributes:
        device: id of the device.
        session: hexadecimal id of the session in which it was captured.
        sequence: number of the frame in its source.
        name: file name where the source has one.
        captured_at: seconds since 1970 by the device's clock.
    """

    device: str
    session: str
    sequence: int
    name: str
    captured_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """The fate of one frame.

    Attributes:
        device: id of the device.
        session: hexadecimal id of the session, empty before the first stream.
        sequence: number of the frame in its source.
        name: file name where the source has one.
        placement: `local`, `split`, `offload`, or `drop`.
        setting: operating point or picture setting.
        reason: a key of DROP_REASONS where the placement is `drop`, else empty.
        fallback: the reason, a key of DROP_REASONS, for which the device answered in place of the server; else empty.
        detail: the server's or the link's words, where there are some.
        classification: the answer of a classifier.
        detections: the answer of a detector, boxes in pixels of the frame; empty where nothing was seen, None for other networks.
        outputs: what the network gave, arrays by name with a batch axis; empty where there is no answer.
        picture: the frame itself, uint8[row, column, 3] in BGR order, for sinks that show it; whoever keeps records keeps it too.
        latency_s: from capture to answer.
        stages_s: seconds by stage; they do not overlap.
        payload_bytes: what the codec or the picture encoder gave.
        queued: whether the picture waited on the device's disk; there may be an answer of the device itself for the same frame.
        captured_at: of a queued frame, seconds since 1970 by the device's clock.
        audited: the neural filter had dropped it; it was answered all the same, to see what the filter misses.
    """

    device: str
    session: str
    sequence: int
    name: str
    placement: str
    setting: str = ""
    reason: str = ""
    fallback: str = ""
    detail: str = ""
    classification: Classification | None = None
    detections: tuple[Detection, ...] | None = None
    outputs: Mapping[str, np.ndarray] = field(default_factory=dict, repr=False, compare=False)
    picture: Picture | None = field(default=None, repr=False, compare=False)
    latency_s: float | None = None
    stages_s: dict[str, float] = field(default_factory=dict)
    payload_bytes: int = 0
    queued: bool = False
    captured_at: float | None = None
    audited: bool = False

    @property
    def words(self) -> str:
        """What became of the frame, in one line for people.

        >>> Record(device="porch", session="", sequence=3, name="", placement="drop", reason="gate").words
        'no answer: gate'
        """
        if self.reason:
            return f"no answer: {self.reason} {self.detail}".rstrip()
        if self.classification is not None:
            return f"{self.classification.label} {self.classification.confidence:.2f}"
        if self.detections is not None:
            return ", ".join(f"{found.label} {found.score:.2f}" for found in self.detections) or "nothing seen"
        return ", ".join(f"{name} {list(array.shape)}" for name, array in self.outputs.items())

    def as_json(self) -> dict[str, Any]:
        """The record with times in milliseconds, empty fields and the picture left out."""
        row: dict[str, Any] = {
            "device": self.device,
            "session": self.session,
            "sequence": self.sequence,
            "name": self.name,
            "placement": self.placement,
            "setting": self.setting,
            "reason": self.reason,
            "fallback": self.fallback,
            "detail": self.detail,
        }
        row = {key: value for key, value in row.items() if value != ""}
        if self.classification:
            confidence = self.classification.confidence
            row |= {
                "label": self.classification.label,
                "index": self.classification.index,
                # JSON has no NaN.
                "confidence": round(confidence, 4) if math.isfinite(confidence) else None,
            }
        if self.detections is not None:
            row["detections"] = [_detection(detection) for detection in self.detections]
        if self.latency_s is not None:
            row["latency_ms"] = round(self.latency_s * 1e3, 3)
        if self.stages_s:
            row["stages_ms"] = {stage: round(seconds * 1e3, 3) for stage, seconds in self.stages_s.items()}
        if self.payload_bytes:
            row["payload_bytes"] = self.payload_bytes
        if self.queued:
            row["queued"] = True
        if self.captured_at is not None:
            row["captured_at"] = round(self.captured_at, 3)
        if self.audited:
            row["audited"] = True
        return row


def _detection(detection: Detection) -> dict[str, Any]:
    return {
        "label": detection.label,
        "index": detection.index,
        "score": round(detection.score, 4),
        "box": [round(value, 1) for value in detection.box],
    }
