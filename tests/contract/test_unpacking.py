"""A bundle in one file: what of it is unpacked, and the copy that is kept."""

import hashlib
import json
import os
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from isthmus.contract.bundle import Bundle, default_cache, open_bundle
from isthmus.contract.bundle_writing import write_bundle
from isthmus.contract.manifest import Manifest
from isthmus.errors import BundleError, IsthmusError

MakeBundle = Callable[[Path], Bundle]
MakeManifest = Callable[..., Manifest]
Members = list[tuple[zipfile.ZipInfo, bytes]]


# --------------------------------------------------------------------------------------------------------- damaged zips


def members(archive: Path) -> Members:
    with zipfile.ZipFile(archive) as opened:
        return [(info, opened.read(info)) for info in opened.infolist()]


def rewrite(archive: Path, content: Members) -> None:
    with zipfile.ZipFile(archive, "w") as opened:
        for info, data in content:
            opened.writestr(info, data)


def test_an_archive_is_stored_and_not_compressed(make_bundle: MakeBundle, tmp_path: Path) -> None:
    make_bundle(tmp_path / "b.isthmus")
    assert {info.compress_type for info, _ in members(tmp_path / "b.isthmus")} == {zipfile.ZIP_STORED}


def test_an_archive_cut_short_anywhere_is_refused(make_bundle: MakeBundle, tmp_path: Path) -> None:
    make_bundle(tmp_path / "b.isthmus")
    data = (tmp_path / "b.isthmus").read_bytes()
    for length in [*range(0, len(data), 997), len(data) - 1]:
        (tmp_path / "short.isthmus").write_bytes(data[:length])
        with pytest.raises(BundleError):
            open_bundle(tmp_path / "short.isthmus")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=80)
@given(place=st.floats(0, 1, exclude_max=True), flipped=st.integers(1, 255), from_end=st.booleans())
def test_a_changed_byte_in_an_archive_gives_the_same_bundle_or_our_error(
    make_bundle: MakeBundle, tmp_path: Path, place: float, flipped: int, from_end: bool
) -> None:
    if not (tmp_path / "b.isthmus").exists():
        make_bundle(tmp_path / "b.isthmus")
    data = bytearray((tmp_path / "b.isthmus").read_bytes())
    # The directory at the end is what zipfile parses; the middle is mostly file content.
    position = len(data) - 1 - int(place * 500) if from_end else int(place * len(data))
    data[position] ^= flipped
    (tmp_path / "changed.isthmus").write_bytes(data)
    try:
        changed = open_bundle(tmp_path / "changed.isthmus")
    except IsthmusError as error:
        assert "\n" not in str(error)  # noqa: PT017 - either outcome is right
    else:
        assert changed.digest == open_bundle(tmp_path / "b.isthmus").digest


def test_a_damaged_archive_leaves_nothing_in_the_cache(make_bundle: MakeBundle, tmp_path: Path) -> None:
    make_bundle(tmp_path / "b.isthmus")
    changed = [(info, data.replace(b"head network", b"Head network")) for info, data in members(tmp_path / "b.isthmus")]
    rewrite(tmp_path / "b.isthmus", changed)
    with pytest.raises(BundleError, match=r"damaged: head\.onnx has SHA-256"):
        open_bundle(tmp_path / "b.isthmus", cache=tmp_path / "fresh")
    assert [path for path in (tmp_path / "fresh").rglob("*") if path.is_file()] == []


def test_a_member_that_the_manifest_names_and_the_archive_lacks_is_missing(make_bundle: MakeBundle, tmp_path: Path) -> None:
    make_bundle(tmp_path / "b.isthmus")
    rewrite(tmp_path / "b.isthmus", [one for one in members(tmp_path / "b.isthmus") if one[0].filename != "head.onnx"])
    with pytest.raises(BundleError, match=r"incomplete: head\.onnx is missing"):
        open_bundle(tmp_path / "b.isthmus")


def test_an_archive_without_a_manifest_is_no_bundle(tmp_path: Path) -> None:
    rewrite(tmp_path / "b.isthmus", [(zipfile.ZipInfo("head.onnx"), b"x")])
    with pytest.raises(BundleError, match=r"holds no manifest\.json"):
        open_bundle(tmp_path / "b.isthmus")


def test_a_compressed_member_is_refused_before_it_is_read(make_bundle: MakeBundle, tmp_path: Path) -> None:
    make_bundle(tmp_path / "b.isthmus")
    packed = members(tmp_path / "b.isthmus")
    for info, _ in packed:
        info.compress_type = zipfile.ZIP_DEFLATED
    rewrite(tmp_path / "b.isthmus", packed)
    with pytest.raises(BundleError, match=r"manifest\.json is compressed"):
        open_bundle(tmp_path / "b.isthmus")


def test_a_member_larger_than_the_manifest_says_is_refused(make_bundle: MakeBundle, tmp_path: Path) -> None:
    make_bundle(tmp_path / "b.isthmus")
    larger = [(info, data + b"!" if info.filename == "head.onnx" else data) for info, data in members(tmp_path / "b.isthmus")]
    rewrite(tmp_path / "b.isthmus", larger)
    with pytest.raises(BundleError, match="expected at most 12"):
        open_bundle(tmp_path / "b.isthmus")


def test_an_encrypted_member_is_refused(make_bundle: MakeBundle, tmp_path: Path) -> None:
    make_bundle(tmp_path / "b.isthmus")
    data = bytearray((tmp_path / "b.isthmus").read_bytes())
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        place = data.find(signature)
        while place >= 0:
            data[place + flags] |= 1
            place = data.find(signature, place + 4)
    (tmp_path / "b.isthmus").write_bytes(data)
    with pytest.raises(BundleError, match="not a bundle or is truncated"):
        open_bundle(tmp_path / "b.isthmus")


EXTRA_NAMES = ["../outside", "/tmp/isthmus-outside", "parts/../../outside", "..\\outside", "notes.txt", ".hidden"]


@pytest.mark.parametrize("name", EXTRA_NAMES)
def test_a_member_that_the_manifest_does_not_name_is_not_unpacked(make_bundle: MakeBundle, tmp_path: Path, name: str) -> None:
    make_bundle(tmp_path / "b.isthmus")
    extra = zipfile.ZipInfo(name)
    extra.compress_type = zipfile.ZIP_DEFLATED
    rewrite(tmp_path / "b.isthmus", [*members(tmp_path / "b.isthmus"), (extra, bytes(1 << 20))])
    bundle = open_bundle(tmp_path / "b.isthmus", cache=tmp_path / "fresh")
    found = {path.relative_to(bundle.folder).as_posix() for path in bundle.folder.rglob("*") if path.is_file()}
    assert found == {*bundle.manifest.files, "manifest.json", "evaluation.json"}
    assert not list(tmp_path.rglob("*outside"))
    assert not Path("/tmp/isthmus-outside").exists()


@pytest.mark.parametrize("name", ["../outside", "/tmp/isthmus-outside", "parts/../../outside"])
def test_a_name_that_leaves_the_bundle_is_refused_even_if_the_manifest_has_it(
    make_bundle: MakeBundle, tmp_path: Path, name: str
) -> None:
    make_bundle(tmp_path / "b.isthmus")
    packed = members(tmp_path / "b.isthmus")
    raw = json.loads(packed[0][1])
    raw["files"][name] = {"size_bytes": 1, "sha256": hashlib.sha256(b"x").hexdigest()}
    rewrite(tmp_path / "b.isthmus", [(packed[0][0], json.dumps(raw).encode()), *packed[1:], (zipfile.ZipInfo(name), b"x")])
    with pytest.raises(BundleError, match="plain path inside"):
        open_bundle(tmp_path / "b.isthmus")
    assert not (tmp_path / "outside").exists()


def test_a_link_in_an_archive_is_unpacked_as_the_text_it_is(make_bundle: MakeBundle, tmp_path: Path) -> None:
    make_bundle(tmp_path / "b.isthmus")
    packed = members(tmp_path / "b.isthmus")
    for info, _ in packed:
        info.create_system, info.external_attr = 3, 0o120777 << 16
    rewrite(tmp_path / "b.isthmus", packed)
    folder = open_bundle(tmp_path / "b.isthmus").folder
    assert not any(path.is_symlink() for path in folder.rglob("*"))


# ---------------------------------------------------------------------------------------------------------------- cache


def test_a_second_opening_unpacks_nothing(make_bundle: MakeBundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = make_bundle(tmp_path / "b.isthmus")
    monkeypatch.delattr(zipfile, "ZipFile")
    assert open_bundle(tmp_path / "b.isthmus").folder == first.folder


def test_another_archive_of_the_same_name_is_unpacked_anew(
    make_bundle: MakeBundle, make_manifest: MakeManifest, content: dict[str, Path], tmp_path: Path
) -> None:
    first = make_bundle(tmp_path / "b.isthmus")
    content["head.onnx"].write_bytes(b"another head")
    second = write_bundle(tmp_path / "b.isthmus", make_manifest(), content)
    assert second.folder != first.folder
    assert second.path("head.onnx").read_bytes() == b"another head"


@pytest.mark.parametrize("file", ["manifest.json", "head.onnx"])
def test_a_damaged_copy_in_the_cache_heals(make_bundle: MakeBundle, tmp_path: Path, file: str) -> None:
    bundle = make_bundle(tmp_path / "b.isthmus")
    (bundle.folder / file).write_bytes(b"half writ")
    assert open_bundle(tmp_path / "b.isthmus").path("head.onnx").read_bytes() == b"head network"


def test_many_openings_at_once_all_succeed_and_leave_one_copy(make_bundle: MakeBundle, tmp_path: Path) -> None:
    make_bundle(tmp_path / "b.isthmus")
    with ThreadPoolExecutor(8) as pool:
        opened = list(pool.map(lambda _: open_bundle(tmp_path / "b.isthmus", cache=tmp_path / "fresh"), range(24)))
    assert len({bundle.folder for bundle in opened}) == 1
    assert os.listdir(tmp_path / "fresh" / "bundles") == [opened[0].folder.name]


def test_a_cache_that_cannot_be_written_is_told_with_what_to_do(make_bundle: MakeBundle, tmp_path: Path) -> None:
    make_bundle(tmp_path / "b.isthmus")
    (tmp_path / "file").touch()
    with pytest.raises(BundleError, match="ISTHMUS_CACHE names another folder"):
        open_bundle(tmp_path / "b.isthmus", cache=tmp_path / "file")


def test_the_cache_is_where_the_environment_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert default_cache() == tmp_path / "cache"
    monkeypatch.delenv("ISTHMUS_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert default_cache() == Path("/somewhere/isthmus")
