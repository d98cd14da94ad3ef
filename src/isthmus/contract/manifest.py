"""`manifest.json`: what a bundle says of itself.

The **contract digest** is the part on which head and tail must agree to the bit: boundary, preparation, operating points,
outputs, codec tables and the digests of every network file. Accuracy figures and training records are not in it.

What every bundle says is `AnyManifest`; `Manifest` is that of networks of pictures and tensors, `contract.language` has that of
language models.
"""

import hashlib
import json
import re
from abc import ABC, abstractmethod
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from isthmus.contract.boundary import Boundary, OperatingPoint, point_size
from isthmus.contract.filter import FILTER, FilterRecord
from isthmus.contract.metric import Metric
from isthmus.contract.prepare import Preparation

SCHEMA_VERSION = 1
"""Grows when a reader of the old schema could misread a new bundle. A reader accepts every released version up to its own."""

MANIFEST_NAME = "manifest.json"
NETWORK_SUFFIXES = (".onnx", ".data")
"""Files that compute; their digests are part of the contract."""
CONTRACT_FILES = ("codec.npz", "labels.json", "hidden.npz", "tokenizer.json")

_FILE_NAME = re.compile(r"(?=.{1,255}\Z)[A-Za-z0-9_][A-Za-z0-9._+-]*(/[A-Za-z0-9_][A-Za-z0-9._+-]*)*\Z")
"""Plain names only: nothing absolute, hidden, with `..`, a drive, a backslash or a control character."""

_Sha256 = Field(pattern=r"^[0-9a-f]{64}$")


class Part(BaseModel):
    """What a manifest is made of."""

    # JSON has no infinity and no NaN; written as null they could not be read again.
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class FileEntry(Part):
    """Size and digest of one file of the bundle."""

    size_bytes: int = Field(ge=0)
    sha256: str = _Sha256


class Port(Part):
    """An input or output of a network; `None` on an axis means any length (the batch)."""

    name: str
    datatype: str
    shape: tuple[int | None, ...]


class Side(Part):
    """What one half costs for one frame. A multiply-add counts as two FLOPs."""

    flops: int = Field(ge=0)
    parameters: int = Field(ge=0)


class Cut(Part):
    """Where the source network was cut."""

    tensors: tuple[str, ...]
    operator: str
    flops_share: float
    replaces_head: bool
    """True if a trained encoder stands in for everything before the cut."""


class Gate(Part):
    """One check that the bundle passed when it was written."""

    name: str
    value: float
    limit: float
    detail: str = ""


class Int8Head(Part):
    """What an int8 head did on the exporting machine, beside the float head."""

    shipped: bool
    reason: str = ""
    """Why it is not shipped, or what speaks against it."""
    activations: Literal["uint8", "int8", ""] = ""
    """`int8` has the zero point 0 everywhere, as TensorRT wants it; empty where there is no int8 head."""
    float_ms: float | None = Field(default=None, ge=0)
    """Median time of a frame, both heads in turns in one process, one thread."""
    int8_ms: float | None = Field(default=None, ge=0)
    other_ms: dict[str, float] = {}
    """Times of the kinds of activations that were tried too and not taken."""
    changed_code_share: float | None = Field(default=None, ge=0, le=1)
    """Share of codes in which it differs from the float head."""
    changed_code_share_max: float = Field(default=0.005, ge=0, le=1)
    """Share of its own golden codes that may differ on another machine."""
    float_metric: Metric | None = None
    """Accuracy or agreement through the tail at the first operating point, on the pictures of `evaluation.json`."""
    int8_metric: Metric | None = None


class LocalNetwork(Side):
    """What `local.onnx` is: the network with which the device answers alone when no server does in time."""

    kind: Literal["whole", "int8", "own"]
    """The unsplit network, the same in int8, or another one with the same inputs and outputs."""
    output_error_max: float = Field(default=1e-3, ge=0)
    """How far its golden outputs may be off on another machine: of the largest output, or the share of boxes that differ."""


class Training(Part):
    """How the bottleneck came to be."""

    recipe: str
    seed: int
    stages: tuple[dict[str, Any], ...] = ()
    data: str = ""
    samples: int = 0
    wall_s: float = 0.0


class Boxes(Part):
    """How a detector's tail makes boxes of what its network computes; see `contract.detection` for how they are read."""

    family: str
    """Whose decoding was put behind the network, as `yolox`."""
    score_floor: float = Field(ge=0, le=1)
    """In the network: a box with a lower score is never an answer."""
    score_min: float = Field(ge=0, le=1)
    """For people: a box with a lower score is not shown and not recorded. Measuring precision and recall needs the others too."""
    overlap_max: float | None = Field(default=None, ge=0, le=1)
    """In the network: of two boxes of one class that overlap more (intersection over union), the one of lower score is left out.
    None where the network needs no such suppression."""


class Task(Part):
    """What the outputs mean."""

    kind: Literal["classification", "detection", "features"] = "features"
    labels: tuple[str, ...] = ()
    boxes: Boxes | None = None
    """Of a detector."""

    @model_validator(mode="after")
    def _boxes_belong_to_detectors(self) -> "Task":
        if (self.kind == "detection") != (self.boxes is not None):
            raise ValueError(f"a task of kind {self.kind!r} {'lacks' if self.boxes is None else 'has'} `boxes`")
        return self


_Named = Port | OperatingPoint


class AnyManifest(Part, ABC):
    """What every `manifest.json` has."""

    schema_version: int = SCHEMA_VERSION
    id: str = Field(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    version: str = "1"
    contract_digest: str = Field(default="0" * 64, pattern=r"^[0-9a-f]{64}$")
    files: dict[str, FileEntry]
    opset: int
    onnxruntime_min: str
    gates: tuple[Gate, ...] = ()
    source: str = ""
    licence: str = ""
    created: str = ""
    writer: str = ""

    @field_validator("files")
    @classmethod
    def _file_names_stay_inside(cls, files: dict[str, FileEntry]) -> dict[str, FileEntry]:
        for name in files:
            if not _FILE_NAME.match(name) or name == MANIFEST_NAME:
                raise ValueError(f"file name {name[:80]!r} is not a plain path inside the bundle")
        return files

    @abstractmethod
    def agreed(self) -> dict[str, Any]:
        """What head and tail must share, as JSON has it, apart from the files."""

    def computed_digest(self) -> str:
        """SHA-256 over everything that head and tail must share, as lower-case hexadecimal."""
        files = {
            name: entry.sha256
            for name, entry in sorted(self.files.items())
            if name.endswith(NETWORK_SUFFIXES) or name in CONTRACT_FILES
        }
        text = json.dumps({**self.agreed(), "files": files}, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return hashlib.sha256(text.encode("ascii")).hexdigest()


class Manifest(AnyManifest):
    """The whole of `manifest.json`, of a network of pictures or tensors."""

    kind: Literal["vision"] = "vision"
    input: Port
    preparation: Preparation | None
    outputs: tuple[Port, ...]
    boundary: Boundary
    bottleneck: Literal["none", "pca", "learned", "own"]
    points: tuple[OperatingPoint, ...] = Field(min_length=1)
    cut: Cut
    head: Side
    tail: Side
    whole: Side
    task: Task = Task()
    changed_code_share_max: float = Field(default=0.005, ge=0, le=1)
    """Share of head codes that may differ on another machine than the exporting one; calibrated at export."""
    training: Training | None = None
    int8: Int8Head | None = None
    """None where no int8 head was tried."""
    local: LocalNetwork | None = None
    """None where the bundle has no `local.onnx`."""
    filter: FilterRecord | None = None
    """None where the bundle has no neural filter."""

    @field_validator("points", "outputs")
    @classmethod
    def _names_differ(cls, named: tuple[_Named, ...]) -> tuple[_Named, ...]:
        names = [one.name for one in named]
        if len(set(names)) != len(names):
            raise ValueError(f"two share a name: {names}")
        return named

    @model_validator(mode="after")
    def _points_fit(self) -> "Manifest":
        for point in self.points:
            point_size(self.boundary, point)
        return self

    @model_validator(mode="after")
    def _filter_has_its_record(self) -> "Manifest":
        # A manifest that is not complete yet names no files.
        if self.files and (FILTER in self.files) != (self.filter is not None):
            held, lacks = (FILTER, "`filter`") if self.filter is None else ("`filter`", FILTER)
            raise ValueError(f"the bundle has {held} and lacks {lacks}; make the filter again with `isthmus filter`")
        return self

    def agreed(self) -> dict[str, Any]:
        """Boundary, input, preparation, outputs, points and task."""
        return {
            "boundary": self.boundary.model_dump(mode="json"),
            "input": self.input.model_dump(mode="json"),
            "preparation": self.preparation.model_dump(mode="json") if self.preparation else None,
            "outputs": [port.model_dump(mode="json") for port in self.outputs],
            "points": [{"name": point.name, "channels": list(point.channels)} for point in self.points],
            # What is None is left out, so that bundles written before a field was thought of keep their digest.
            "task": self.task.model_dump(mode="json", exclude_none=True),
        }
