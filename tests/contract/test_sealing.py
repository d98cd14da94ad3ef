import json
import os
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from isthmus.contract import signature
from isthmus.contract.bundle import Bundle, open_bundle
from isthmus.contract.key import PrivateKey
from isthmus.contract.sealing import sign_bundle
from isthmus.contract.trust import TrustedKeys
from isthmus.errors import BundleError, IsthmusError, SignatureError

MakeBundle = Callable[[Path], Bundle]
MakeKey = Callable[[int], PrivateKey]

BOTH_KINDS = pytest.mark.parametrize("name", ["b.isthmus", "b"])


def trusting(*keys: PrivateKey) -> TrustedKeys:
    return TrustedKeys({key.public.id: key.public for key in keys})


def content(path: Path) -> dict[str, bytes]:
    """Name -> bytes of what a bundle holds, folder or zip."""
    if path.is_dir():
        return {file.relative_to(path).as_posix(): file.read_bytes() for file in path.rglob("*") if file.is_file()}
    with zipfile.ZipFile(path) as archive:
        return {info.filename: archive.read(info) for info in archive.infolist()}


def rewrite(path: Path, changed: dict[str, bytes]) -> None:
    """Change files of a bundle, folder or zip; the others stay."""
    if path.is_dir():
        for name, data in changed.items():
            (path / name).write_bytes(data)
        return
    whole = {**content(path), **changed}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in whole.items():
            archive.writestr(name, data)


@BOTH_KINDS
def test_a_signed_bundle_is_opened_by_who_trusts_the_key(
    make_bundle: MakeBundle, make_key: MakeKey, tmp_path: Path, name: str
) -> None:
    made = make_bundle(tmp_path / name)
    signed = sign_bundle(tmp_path / name, make_key(1))
    assert signed.signed_by == make_key(1).public.id
    assert signed.digest == made.digest
    assert open_bundle(tmp_path / name, trusted=trusting(make_key(1), make_key(2))).signed_by == make_key(1).public.id
    assert open_bundle(tmp_path / name).signed_by is None


@BOTH_KINDS
def test_signing_changes_nothing_but_the_signature(make_bundle: MakeBundle, make_key: MakeKey, tmp_path: Path, name: str) -> None:
    make_bundle(tmp_path / "out" / name)
    before = content(tmp_path / "out" / name)
    sign_bundle(tmp_path / "out" / name, make_key(1))
    after = content(tmp_path / "out" / name)
    assert after.pop("manifest.sig")
    assert after == before
    assert os.listdir(tmp_path / "out") == [name]


@BOTH_KINDS
def test_old_and_new_key_sign_side_by_side_and_only_drops_the_old(
    make_bundle: MakeBundle, make_key: MakeKey, tmp_path: Path, name: str
) -> None:
    make_bundle(tmp_path / name)
    sign_bundle(tmp_path / name, make_key(1))
    sign_bundle(tmp_path / name, make_key(2))
    for number in (1, 2):
        assert open_bundle(tmp_path / name, trusted=trusting(make_key(number))).signed_by == make_key(number).public.id
    sign_bundle(tmp_path / name, make_key(2), only=True)
    with pytest.raises(SignatureError, match="is signed by"):
        open_bundle(tmp_path / name, trusted=trusting(make_key(1)))


@BOTH_KINDS
def test_an_unsigned_or_foreign_bundle_is_refused(make_bundle: MakeBundle, make_key: MakeKey, tmp_path: Path, name: str) -> None:
    make_bundle(tmp_path / name)
    with pytest.raises(SignatureError, match="is not signed"):
        open_bundle(tmp_path / name, trusted=trusting(make_key(1)))
    sign_bundle(tmp_path / name, make_key(2))
    with pytest.raises(SignatureError, match="trusted is"):
        open_bundle(tmp_path / name, trusted=trusting(make_key(1)))


@BOTH_KINDS
def test_a_manifest_changed_after_signing_is_refused_before_its_files_are_looked_at(
    make_bundle: MakeBundle, make_key: MakeKey, tmp_path: Path, name: str
) -> None:
    make_bundle(tmp_path / name)
    sign_bundle(tmp_path / name, make_key(1))
    raw = json.loads(content(tmp_path / name)["manifest.json"])
    raw["version"] = "2"
    rewrite(tmp_path / name, {"manifest.json": json.dumps(raw).encode(), "head.onnx": b"evil"})
    with pytest.raises(SignatureError, match="is not over this manifest"):
        open_bundle(tmp_path / name, trusted=trusting(make_key(1)))


@BOTH_KINDS
def test_a_network_changed_after_signing_is_refused(
    make_bundle: MakeBundle, make_key: MakeKey, tmp_path: Path, name: str
) -> None:
    make_bundle(tmp_path / name)
    sign_bundle(tmp_path / name, make_key(1))
    rewrite(tmp_path / name, {"head.onnx": b"Head network"})
    with pytest.raises(BundleError, match=r"damaged: head\.onnx"):
        open_bundle(tmp_path / name, trusted=trusting(make_key(1)))


@BOTH_KINDS
def test_the_signature_of_another_bundle_does_not_fit(
    make_bundle: MakeBundle, make_key: MakeKey, tmp_path: Path, name: str
) -> None:
    make_bundle(tmp_path / name)
    other = signature.SignatureFile(signatures=(signature.sign(b"another manifest", make_key(1)),))
    rewrite(tmp_path / name, {"manifest.sig": other.encode()})
    with pytest.raises(SignatureError, match="is not over this manifest"):
        open_bundle(tmp_path / name, trusted=trusting(make_key(1)))


@BOTH_KINDS
def test_a_damaged_bundle_is_not_signed(make_bundle: MakeBundle, make_key: MakeKey, tmp_path: Path, name: str) -> None:
    make_bundle(tmp_path / name)
    rewrite(tmp_path / name, {"head.onnx": b"Head network"})
    with pytest.raises(BundleError, match="damaged"):
        sign_bundle(tmp_path / name, make_key(1))
    assert "manifest.sig" not in content(tmp_path / name)


@BOTH_KINDS
def test_a_damaged_signature_file_is_kept_unless_only_is_said(
    make_bundle: MakeBundle, make_key: MakeKey, tmp_path: Path, name: str
) -> None:
    make_bundle(tmp_path / name)
    rewrite(tmp_path / name, {"manifest.sig": b"garbage"})
    assert open_bundle(tmp_path / name).signed_by is None
    with pytest.raises(SignatureError, match="--only"):
        sign_bundle(tmp_path / name, make_key(1))
    assert sign_bundle(tmp_path / name, make_key(1), only=True).signed_by == make_key(1).public.id


@BOTH_KINDS
@pytest.mark.parametrize("step", ["os.fsync", "os.replace"])
def test_a_full_disk_leaves_the_bundle_as_it_was(
    make_bundle: MakeBundle, make_key: MakeKey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, step: str
) -> None:
    (tmp_path / "out").mkdir()
    make_bundle(tmp_path / "out" / name)
    sign_bundle(tmp_path / "out" / name, make_key(1))
    before = content(tmp_path / "out")

    def full_disk(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(step, full_disk)
    with pytest.raises(BundleError, match="No space left"):
        sign_bundle(tmp_path / "out" / name, make_key(2))
    assert content(tmp_path / "out") == before


def test_an_archive_keeps_its_permissions_and_a_link_to_it_stays_a_link(
    make_bundle: MakeBundle, make_key: MakeKey, tmp_path: Path
) -> None:
    make_bundle(tmp_path / "b.isthmus")
    (tmp_path / "b.isthmus").chmod(0o640)
    (tmp_path / "current").symlink_to("b.isthmus")
    sign_bundle(tmp_path / "current", make_key(1))
    assert (tmp_path / "current").is_symlink()
    assert stat.S_IMODE((tmp_path / "b.isthmus").stat().st_mode) == 0o640
    assert open_bundle(tmp_path / "b.isthmus", trusted=trusting(make_key(1))).signed_by


def test_what_does_not_belong_to_an_archive_is_not_carried_along(
    make_bundle: MakeBundle, make_key: MakeKey, tmp_path: Path
) -> None:
    make_bundle(tmp_path / "b.isthmus")
    rewrite(tmp_path / "b.isthmus", {"extra.onnx": b"stranger"})
    sign_bundle(tmp_path / "b.isthmus", make_key(1))
    assert "extra.onnx" not in content(tmp_path / "b.isthmus")
    assert "evaluation.json" in content(tmp_path / "b.isthmus")


def test_a_link_in_place_of_the_signature_is_replaced_and_not_followed(
    make_bundle: MakeBundle, make_key: MakeKey, tmp_path: Path
) -> None:
    make_bundle(tmp_path / "b")
    (tmp_path / "outside").write_bytes(b"mine")
    (tmp_path / "b" / "manifest.sig").symlink_to(tmp_path / "outside")
    sign_bundle(tmp_path / "b", make_key(1), only=True)
    assert (tmp_path / "outside").read_bytes() == b"mine"
    assert not (tmp_path / "b" / "manifest.sig").is_symlink()


# ---------------------------------------------------------------------------------------------------------------- cache


@pytest.mark.parametrize(
    "spoil", [lambda path: path.unlink(), lambda path: path.write_bytes(b"garbage")], ids=["lost", "damaged"]
)
def test_a_spoiled_signature_in_the_cache_heals_from_the_archive(
    make_bundle: MakeBundle, make_key: MakeKey, tmp_path: Path, spoil: Callable[[Path], None]
) -> None:
    make_bundle(tmp_path / "b.isthmus")
    spoil(sign_bundle(tmp_path / "b.isthmus", make_key(1)).folder / "manifest.sig")
    assert open_bundle(tmp_path / "b.isthmus", trusted=trusting(make_key(1))).signed_by == make_key(1).public.id


def test_a_refused_archive_leaves_no_network_in_the_cache(make_bundle: MakeBundle, make_key: MakeKey, tmp_path: Path) -> None:
    make_bundle(tmp_path / "b.isthmus")
    with pytest.raises(IsthmusError):
        open_bundle(tmp_path / "b.isthmus", cache=tmp_path / "fresh", trusted=trusting(make_key(1)))
    assert [path for path in (tmp_path / "fresh").rglob("*") if path.is_file()] == []


def test_an_archive_that_is_not_signed_is_refused_before_a_network_is_unpacked(
    make_bundle: MakeBundle, make_key: MakeKey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_bundle(tmp_path / "b.isthmus")
    opened: list[str] = []
    read = zipfile.ZipFile.open

    def noted(archive: zipfile.ZipFile, member: zipfile.ZipInfo, *arguments: Any) -> Any:
        opened.append(member.filename)
        return read(archive, member, *arguments)

    monkeypatch.setattr(zipfile.ZipFile, "open", noted)
    with pytest.raises(SignatureError):
        open_bundle(tmp_path / "b.isthmus", cache=tmp_path / "fresh", trusted=trusting(make_key(1)))
    assert set(opened) == {"manifest.json", "evaluation.json"}
