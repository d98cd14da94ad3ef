import hashlib
import json
import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from isthmus.contract.bundle import Bundle, open_bundle
from isthmus.contract.bundle_writing import check_target, write_bundle
from isthmus.contract.manifest import Manifest
from isthmus.errors import BundleError, ContractMismatch

MakeBundle = Callable[[Path], Bundle]
MakeManifest = Callable[..., Manifest]
Members = list[tuple[zipfile.ZipInfo, bytes]]

BOTH_KINDS = pytest.mark.parametrize("name", ["b.isthmus", "b"])


@BOTH_KINDS
def test_a_bundle_comes_back_with_its_files(make_bundle: MakeBundle, content: dict[str, Path], tmp_path: Path, name: str) -> None:
    make_bundle(tmp_path / name)
    bundle = open_bundle(tmp_path / name)
    for file, source in content.items():
        assert (bundle.folder / file).read_bytes() == source.read_bytes()
    assert bundle.digest == bundle.manifest.computed_digest()
    assert set(bundle.manifest.files) == set(content) - {"evaluation.json"}


def test_folder_and_zip_have_one_digest(make_bundle: MakeBundle, tmp_path: Path) -> None:
    assert make_bundle(tmp_path / "b").digest == make_bundle(tmp_path / "b.isthmus").digest


def test_a_file_is_found_by_name_and_a_missing_one_is_told_with_what_there_is(make_bundle: MakeBundle, tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "b")
    assert bundle.path("head.onnx").read_bytes() == b"head network"
    assert not bundle.has("whole.onnx")
    with pytest.raises(BundleError, match=r"has no whole\.onnx; it holds golden\.npz, head\.onnx"):
        bundle.path("whole.onnx")


def test_the_size_is_that_of_the_files(make_bundle: MakeBundle, content: dict[str, Path], tmp_path: Path) -> None:
    expected = sum(path.stat().st_size for name, path in content.items() if name != "evaluation.json")
    assert make_bundle(tmp_path / "b").size_bytes() == expected


def test_nothing_at_the_path_is_told(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="there is no bundle at"):
        open_bundle(tmp_path / "nowhere.isthmus")


# ------------------------------------------------------------------------------------------------------ damaged folders


def test_a_changed_byte_in_a_folder_is_found(make_bundle: MakeBundle, tmp_path: Path) -> None:
    make_bundle(tmp_path / "b")
    (tmp_path / "b" / "head.onnx").write_bytes(b"Head network")
    with pytest.raises(BundleError, match=r"damaged: head\.onnx has SHA-256"):
        open_bundle(tmp_path / "b")


def test_a_shortened_file_in_a_folder_is_found(make_bundle: MakeBundle, tmp_path: Path) -> None:
    make_bundle(tmp_path / "b")
    (tmp_path / "b" / "head.onnx").write_bytes(b"head")
    with pytest.raises(BundleError, match=r"head\.onnx has 4 bytes, the manifest says 12"):
        open_bundle(tmp_path / "b")


@pytest.mark.parametrize("name", ["model.onnx", "notes", "a.isthmus"])
def test_a_file_that_is_no_bundle_is_no_target(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("mine")
    with pytest.raises(BundleError, match="is a file that is not a bundle; name another target"):
        check_target(tmp_path / name)


def test_a_bundle_may_be_written_over(make_bundle: MakeBundle, tmp_path: Path) -> None:
    make_bundle(tmp_path / "b.isthmus")
    check_target(tmp_path / "b.isthmus")
    make_bundle(tmp_path / "b")
    check_target(tmp_path / "b")


@pytest.mark.parametrize("file", ["manifest.json", "head.onnx", "parts/tail.onnx.data"])
def test_a_missing_file_in_a_folder_is_found(make_bundle: MakeBundle, tmp_path: Path, file: str) -> None:
    make_bundle(tmp_path / "b")
    (tmp_path / "b" / file).unlink()
    with pytest.raises(BundleError, match=file):
        open_bundle(tmp_path / "b")


@pytest.mark.parametrize("file", ["head.onnx", "parts/tail.onnx.data"])
def test_a_link_in_place_of_a_file_is_refused_even_if_its_target_is_right(
    make_bundle: MakeBundle, tmp_path: Path, file: str
) -> None:
    make_bundle(tmp_path / "b")
    (tmp_path / "b" / file).rename(tmp_path / "outside")
    (tmp_path / "b" / file).symlink_to(tmp_path / "outside")
    with pytest.raises(BundleError, match="is a link or lies outside the bundle"):
        open_bundle(tmp_path / "b")


def test_a_manifest_that_is_a_link_is_refused(make_bundle: MakeBundle, tmp_path: Path) -> None:
    make_bundle(tmp_path / "b")
    (tmp_path / "b" / "manifest.json").rename(tmp_path / "outside.json")
    (tmp_path / "b" / "manifest.json").symlink_to(tmp_path / "outside.json")
    with pytest.raises(BundleError, match=r"manifest\.json is a link; a file is needed"):
        open_bundle(tmp_path / "b")


def test_a_link_that_stays_inside_is_refused_too(make_bundle: MakeBundle, tmp_path: Path) -> None:
    make_bundle(tmp_path / "b")
    (tmp_path / "b" / "head.onnx").rename(tmp_path / "b" / "aside.onnx")
    (tmp_path / "b" / "head.onnx").symlink_to("aside.onnx")
    with pytest.raises(BundleError, match="is a link or lies outside the bundle"):
        open_bundle(tmp_path / "b")


def test_a_linked_folder_that_leads_outside_is_refused(make_bundle: MakeBundle, tmp_path: Path) -> None:
    make_bundle(tmp_path / "b")
    (tmp_path / "b" / "parts").rename(tmp_path / "outside")
    (tmp_path / "b" / "parts").symlink_to(tmp_path / "outside")
    with pytest.raises(BundleError, match="is a link or lies outside the bundle"):
        open_bundle(tmp_path / "b")


def test_a_tampered_contract_digest_is_a_mismatch(make_bundle: MakeBundle, tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "b")
    path = tmp_path / "b" / "manifest.json"
    path.write_text(path.read_text().replace(bundle.digest, "0" * 64))
    with pytest.raises(ContractMismatch, match=f"says contract 000000000000, its content gives {bundle.digest[:12]}"):
        open_bundle(tmp_path / "b")


def test_a_network_swapped_together_with_its_manifest_entry_is_a_mismatch(make_bundle: MakeBundle, tmp_path: Path) -> None:
    make_bundle(tmp_path / "b")
    (tmp_path / "b" / "head.onnx").write_bytes(b"evil network")
    path = tmp_path / "b" / "manifest.json"
    raw = json.loads(path.read_text())
    raw["files"]["head.onnx"]["sha256"] = hashlib.sha256(b"evil network").hexdigest()
    path.write_text(json.dumps(raw))
    with pytest.raises(ContractMismatch):
        open_bundle(tmp_path / "b")


# -------------------------------------------------------------------------------------------------------------- writing


def everything_in(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@BOTH_KINDS
@pytest.mark.parametrize("cause", ["a source is missing", "a bad name", "the disk is full", "a copy went wrong"])
def test_a_failing_write_leaves_the_old_bundle_and_nothing_else(
    make_bundle: MakeBundle,
    make_manifest: MakeManifest,
    content: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    cause: str,
) -> None:
    target = tmp_path / "out" / name
    make_bundle(target)
    before = everything_in(tmp_path / "out")
    break_writing(cause, content, monkeypatch)
    with pytest.raises(BundleError):
        write_bundle(target, make_manifest(licence="new"), content)
    assert everything_in(tmp_path / "out") == before


def break_writing(cause: str, content: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    def disk_is_full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    if cause == "a source is missing":
        content["tail.onnx"] = Path("nowhere")
    elif cause == "a bad name":
        content["../outside"] = content["tail.onnx"]
    elif cause == "the disk is full":
        monkeypatch.setattr("os.replace", disk_is_full)
    else:
        monkeypatch.setattr("shutil.copyfile", lambda _source, sink: Path(sink).write_bytes(b"half"))


def test_a_folder_that_is_no_bundle_is_not_replaced(make_bundle: MakeBundle, tmp_path: Path) -> None:
    (tmp_path / "holiday").mkdir()
    (tmp_path / "holiday" / "photo.jpg").write_bytes(b"photo")
    with pytest.raises(BundleError, match="not a bundle; name another target"):
        make_bundle(tmp_path / "holiday")
    assert everything_in(tmp_path / "holiday") == {"photo.jpg": b"photo"}


def test_a_bundle_in_a_folder_is_replaced_whole(
    make_bundle: MakeBundle, make_manifest: MakeManifest, content: dict[str, Path], tmp_path: Path
) -> None:
    make_bundle(tmp_path / "out" / "b")
    del content["parts/tail.onnx.data"]
    write_bundle(tmp_path / "out" / "b", make_manifest(), content)
    assert set(everything_in(tmp_path / "out")) == {f"b/{name}" for name in [*content, "manifest.json"]}


def test_a_clock_that_stands_in_1970_does_not_stop_an_archive(
    make_bundle: MakeBundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = shutil.copyfile

    def copy_in_1970(source: Path, sink: Path) -> None:
        copy(source, sink)
        os.utime(sink, (0, 0))

    monkeypatch.setattr("shutil.copyfile", copy_in_1970)
    assert make_bundle(tmp_path / "b.isthmus").has("head.onnx")
