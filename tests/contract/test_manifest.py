import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from isthmus.contract.bundle import parse_manifest, read_manifest
from isthmus.contract.manifest import SCHEMA_VERSION, Boxes, Manifest, Task
from isthmus.errors import BundleError, ContractMismatch, IsthmusError

MakeManifest = Callable[..., Manifest]
FILES = {"head.onnx": {"size_bytes": 1, "sha256": "a" * 64}, "golden.npz": {"size_bytes": 2, "sha256": "b" * 64}}

GOLDEN_DIGEST = "a44c0b668e00c03b1f78d0de2c19f1d5e208756866d5be462af77b603a3e2083"
"""Of the manifest below, as the first release computed it: bundles in the field carry digests made this way."""


def changed(manifest: Manifest, path: str, value: object) -> Manifest:
    """A copy with the value at a dotted path replaced."""
    raw = manifest.model_dump(mode="json")
    place: Any = raw
    *steps, last = [int(step) if step.isdigit() else step for step in path.split("/")]
    for step in steps:
        place = place[step]
    place[last] = value
    return Manifest.model_validate(raw)


def reversed_fields(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: reversed_fields(value[name]) for name in reversed(value)}
    return [reversed_fields(one) for one in value] if isinstance(value, list) else value


def test_the_digest_is_the_one_of_the_first_release(make_manifest: MakeManifest) -> None:
    assert make_manifest(files=FILES).computed_digest() == GOLDEN_DIGEST


def test_the_order_of_fields_does_not_change_the_digest(make_manifest: MakeManifest) -> None:
    manifest = make_manifest(files=FILES)
    again = Manifest.model_validate(reversed_fields(manifest.model_dump(mode="json")))
    assert again.computed_digest() == manifest.computed_digest()


def test_the_digest_survives_a_round_trip_through_json(make_manifest: MakeManifest) -> None:
    manifest = make_manifest(files=FILES)
    assert Manifest.model_validate_json(manifest.model_dump_json()).computed_digest() == manifest.computed_digest()


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("boundary/tensors/0/name", "other"),
        ("boundary/tensors/0/shape", [4, 7, 8]),
        ("boundary/tensors/0/bits", 5),
        ("boundary/tensors/0/signed", False),
        ("preparation", None),
        ("preparation/mean", [0.25]),
        ("preparation/fit", "crop"),
        ("preparation/interpolation", "area"),
        ("points/0/name", "other"),
        ("points/1/channels", [3]),
        ("input/name", "other"),
        ("outputs/0/shape", [None, 11]),
        ("task", {"kind": "classification", "labels": ["a", "b"]}),
        ("files/head.onnx/sha256", "c" * 64),
        ("files/tail.onnx", {"size_bytes": 1, "sha256": "a" * 64}),
        ("files/head.onnx.data", {"size_bytes": 1, "sha256": "a" * 64}),
        ("files/codec.npz", {"size_bytes": 1, "sha256": "a" * 64}),
        ("files/labels.json", {"size_bytes": 1, "sha256": "a" * 64}),
    ],
)
def test_every_part_of_the_contract_changes_the_digest(make_manifest: MakeManifest, path: str, value: object) -> None:
    manifest = make_manifest(files=FILES)
    assert changed(manifest, path, value).computed_digest() != manifest.computed_digest()


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("licence", "MIT"),
        ("version", "2"),
        ("id", "other"),
        ("points/0/bytes_mean", 300.5),
        ("gates", [{"name": "accuracy", "value": 0.5, "limit": 0.4}]),
        ("files/golden.npz/sha256", "c" * 64),
        ("cut/operator", "Conv"),
    ],
)
def test_what_is_only_reported_does_not_change_the_digest(make_manifest: MakeManifest, path: str, value: object) -> None:
    manifest = make_manifest(files=FILES)
    assert changed(manifest, path, value).computed_digest() == manifest.computed_digest()


HOSTILE_NAMES = [
    "",
    ".",
    "..",
    "/",
    "//",
    "../head.onnx",
    "../../../../etc/passwd",
    "parts/../../head.onnx",
    "parts/..",
    "./head.onnx",
    "parts//head.onnx",
    "parts/",
    "/etc/passwd",
    "/head.onnx",
    "~/head.onnx",
    "..\\head.onnx",
    "parts\\..\\head.onnx",
    "C:\\head.onnx",
    "C:head.onnx",
    "\\\\server\\share\\head.onnx",
    "%2e%2e/head.onnx",
    "..%2fhead.onnx",
    "%252e%252e%252fhead.onnx",
    "....//head.onnx",
    "..\u2215head.onnx",
    "head.onnx\0.txt",
    "head.onnx\n",
    "head\nINFO: all is well.onnx",
    "-rf",
    ".hidden",
    "head.onnx:stream",
    "$HOME/head.onnx",
    "a" * 256,
    "a/" * 200 + "b",
    "manifest.json",
]


@pytest.mark.parametrize("name", HOSTILE_NAMES, ids=lambda name: repr(name[:30]))
def test_a_file_name_that_is_not_plainly_inside_is_refused(make_manifest: MakeManifest, name: str) -> None:
    with pytest.raises(ValidationError, match="plain path inside the bundle"):
        make_manifest(files={name: FILES["head.onnx"]})


@pytest.mark.parametrize("name", ["head.onnx", "head.int8.onnx", "parts/0/tail.onnx.data", "a", "model+x_1-2.npz", "a" * 255])
def test_plain_file_names_pass(make_manifest: MakeManifest, name: str) -> None:
    assert name in make_manifest(files={name: FILES["head.onnx"]}).files


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("points/1/name", "full"),
        ("outputs", [{"name": "a", "datatype": "FP32", "shape": [1]}] * 2),
        ("gates", [{"name": "accuracy", "value": float("nan"), "limit": 0.4}]),
        ("id", "two words"),
        ("points", []),
        ("contract_digest", "A" * 64),
        ("files/head.onnx/sha256", "a" * 63),
        ("files/head.onnx/size_bytes", -1),
        ("surprise", 1),
    ],
)
def test_a_manifest_that_cannot_be_is_refused(make_manifest: MakeManifest, path: str, value: object) -> None:
    with pytest.raises(ValidationError):
        changed(make_manifest(files=FILES), path, value)


def test_a_point_that_does_not_fit_the_boundary_is_a_mismatch(make_manifest: MakeManifest) -> None:
    with pytest.raises(ContractMismatch, match="takes 5 of 4 channels"):
        changed(make_manifest(), "points/0/channels", [5])


def written(folder: Path, data: bytes) -> Path:
    path = folder / "manifest.json"
    path.write_bytes(data)
    return path


def test_a_written_manifest_is_read_again(make_manifest: MakeManifest, tmp_path: Path) -> None:
    manifest = make_manifest(files=FILES)
    data = read_manifest(written(tmp_path, manifest.model_dump_json().encode()), tmp_path)
    assert parse_manifest(data, tmp_path) == manifest


@pytest.mark.parametrize("version", [SCHEMA_VERSION + 1, 0, -1, "1", None, 1.5, [1] * 10_000])
def test_another_schema_is_refused_with_what_to_do(make_manifest: MakeManifest, version: object) -> None:
    raw = {**make_manifest().model_dump(mode="json"), "schema_version": version, "field_of_the_future": 1}
    with pytest.raises(BundleError, match=r"this version reads 1 to \d+; install a newer isthmus") as caught:
        parse_manifest(json.dumps(raw).encode(), Path("b.isthmus"))
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"null",
        b"[]",
        b"7",
        b"{",
        b"\xff\xfe",
        b'{"schema_version": 1}',
        b'{"schema_version": 1, "\\ud800": 1}',
        b'{"schema_version": 1, "id": "\\ud800"}',
        b"[" * 100_000,
        b'{"schema_version": ' + b"9" * 5000 + b"}",
        b'{"schema_version": 1, "' + b"long\\n" * 10_000 + b'": 1}',
    ],
    ids=lambda data: repr(data[:24]),
)
def test_what_is_no_manifest_is_one_short_line_of_ours(data: bytes) -> None:
    with pytest.raises(IsthmusError) as caught:
        parse_manifest(data, Path("b.isthmus"))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600
    str(caught.value).encode("utf-8")


def test_a_manifest_of_many_megabytes_is_not_read(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="more than the 4194304 bytes that are read"):
        read_manifest(written(tmp_path, b" " * (4 << 20) + b"{}"), Path("b.isthmus"))


def test_a_detector_has_boxes_and_nobody_else() -> None:
    boxes = Boxes(family="yolox", score_floor=0.01, score_min=0.3)
    assert Task(kind="detection", boxes=boxes).boxes == boxes
    with pytest.raises(ValidationError, match="'detection' lacks `boxes`"):
        Task(kind="detection")
    with pytest.raises(ValidationError, match="'classification' has `boxes`"):
        Task(kind="classification", boxes=boxes)


def test_how_boxes_are_made_is_part_of_the_contract(make_manifest: MakeManifest) -> None:
    tasks = [
        Task(kind="detection", boxes=Boxes(family="yolox", score_floor=0.01, score_min=0.3, overlap_max=share))
        for share in (0.45, 0.65)
    ]
    first, second = (make_manifest(task=task).computed_digest() for task in tasks)
    assert first != second


@pytest.mark.parametrize("left_out", ["record", "file"])
def test_a_filter_is_nothing_without_its_record_nor_a_record_without_its_filter(make_tiny_bundle, left_out: str) -> None:
    manifest = make_tiny_bundle(filtered=0.0).manifest.model_dump()
    if left_out == "record":
        manifest["filter"] = None
    else:
        del manifest["files"]["filter.onnx"]
    with pytest.raises(ValidationError, match=r"and lacks .*make the filter again"):
        Manifest.model_validate(manifest)
