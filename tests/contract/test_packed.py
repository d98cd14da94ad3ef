"""The archive of a bundle that nobody writes."""

import hashlib
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.contract import packed as packing
from isthmus.contract.bundle import open_bundle
from isthmus.contract.packed import PackedBundle
from isthmus.contract.sealing import sign_bundle
from isthmus.errors import BundleError


@pytest.fixture
def bundle(make_bundle, tmp_path):
    return make_bundle(tmp_path / "bundle")


def write(packed, path):
    path.write_bytes(b"".join(packed.blocks()))
    return path


def test_the_archive_opens_as_the_bundle_it_is_of(bundle, tmp_path):
    opened = open_bundle(write(PackedBundle(bundle), tmp_path / "sent.isthmus"))
    assert opened.manifest_bytes == bundle.manifest_bytes
    assert (opened.folder / "evaluation.json").read_bytes() == (bundle.folder / "evaluation.json").read_bytes()


def test_its_digest_and_size_are_those_of_its_bytes(bundle):
    packed = PackedBundle(bundle)
    whole = b"".join(packed.blocks())
    assert (packed.size_bytes, packed.sha256) == (len(whole), hashlib.sha256(whole).hexdigest())


def test_folder_and_zip_of_one_bundle_have_one_archive(make_bundle, tmp_path):
    folder, archive = make_bundle(tmp_path / "bundle"), make_bundle(tmp_path / "bundle.isthmus")
    assert PackedBundle(folder).sha256 == PackedBundle(archive).sha256


def test_a_signature_is_carried_along(bundle, make_key, tmp_path):
    signed = sign_bundle(bundle.folder, make_key(1))
    sent = open_bundle(write(PackedBundle(signed), tmp_path / "sent.isthmus"))
    assert (sent.folder / "manifest.sig").read_bytes() == (signed.folder / "manifest.sig").read_bytes()


@pytest.fixture(scope="module")
def whole(make_tiny_bundle):
    packed = PackedBundle(make_tiny_bundle())
    return packed, b"".join(packed.blocks())


@given(data=st.data())
def test_any_piece_is_that_of_the_whole(whole, data):
    packed, expected = whole
    offset = data.draw(st.integers(0, len(expected)))
    size = data.draw(st.integers(0, len(expected)))
    assert packed.read(offset, size) == expected[offset : offset + size]


@pytest.mark.parametrize("wide_from", [0, 2000])
def test_wide_fields_are_read_by_others(make_tiny_bundle, monkeypatch, tmp_path, wide_from):
    monkeypatch.setattr(packing, "WIDE_FROM", wide_from)
    bundle = make_tiny_bundle()
    path = write(PackedBundle(bundle), tmp_path / "wide.isthmus")
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert archive.read("tail.onnx") == bundle.path("tail.onnx").read_bytes()
    assert open_bundle(path).digest == bundle.digest


def test_a_file_that_is_gone_is_told(bundle):
    packed = PackedBundle(bundle)
    bundle.path("tail.onnx").unlink()
    with pytest.raises(BundleError, match=r"cannot be read any more: No such file or directory \(tail\.onnx\)"):
        list(packed.blocks())


def test_a_file_that_shrinks_is_told(bundle):
    packed = PackedBundle(bundle)
    bundle.path("tail.onnx").write_bytes(b"short")
    with pytest.raises(BundleError, match=r"tail\.onnx is shorter than it was"):
        list(packed.blocks())
