import pytest

from isthmus.errors import ConfigError
from isthmus.tail.repository import listing


def named(found):
    return {name: [one.version for one in versions] for name, versions in found.versions.items()}


def why(found, path):
    return found.skipped[path]


def test_folders_and_archives_are_found_the_newest_first(shelves, cups):
    for version in ("2", "10"):
        shelves.put(cups[0], "cups", version)
    archive = shelves.pack(cups[1], "cups", "9")
    found = listing.look(shelves.root)
    assert named(found) == {"cups": ["10", "9", "2"]}
    assert [one.path for one in found.find("cups", "9")] == [archive]
    assert found.skipped == {}


@pytest.mark.parametrize("version", ["0", "01", "-1", "1.0", "v1", "latest", "9" * 19, "\u0661"])
def test_a_version_that_is_no_number_is_passed_over(shelves, cups, version):
    path = shelves.put(cups[0], "cups", version)
    found = listing.look(shelves.root)
    assert (named(found), why(found, path)) == ({}, "is not a version: a folder named by an integer from 1 on is needed")


def test_what_is_no_bundle_is_passed_over_with_a_reason(shelves, cups):
    (shelves.root / "README").write_text("hello")
    (shelves.root / "two words" / "1").mkdir(parents=True)
    (shelves.root / "cups" / "1").mkdir(parents=True)
    shelves.pack(cups[0], "cups", "2")
    (shelves.root / "cups" / "2" / "other.isthmus").write_bytes(b"")
    found = listing.look(shelves.root)
    assert why(found, shelves.root / "README") == "is not a folder"
    assert why(found, shelves.root / "two words").startswith("is not named with letters")
    assert why(found, shelves.root / "cups" / "1") == "is not a bundle: it holds neither manifest.json nor a .isthmus file"
    assert why(found, shelves.root / "cups" / "2") == "is not a bundle: it holds 2 .isthmus files"
    assert named(found) == {}


def test_hidden_names_are_not_looked_at(shelves, cups):
    shelves.put(cups[0], ".cups")
    shelves.put(cups[0], "cups", ".1")
    assert listing.look(shelves.root) == listing.Listing(versions={}, skipped={})


@pytest.mark.parametrize("what", ["name", "version", "archive"])
def test_a_link_that_leads_out_of_the_repository_is_passed_over(shelves, cups, tmp_path, what):
    outside = type(shelves)(tmp_path / "outside")
    outside.root.mkdir()
    archive = outside.pack(cups[0])
    link = {"name": "cups", "version": "cups/1", "archive": "cups/1/model.isthmus"}[what]
    (shelves.root / link).parent.mkdir(parents=True, exist_ok=True)
    (shelves.root / link).symlink_to({"name": archive.parents[1], "version": archive.parent, "archive": archive}[what])
    found = listing.look(shelves.root)
    assert (named(found), list(found.skipped.values())) == ({}, ["is a link that leads out of the repository"])


def test_a_link_inside_of_the_repository_is_followed(shelves, cups):
    shelves.put(cups[0], "cups", "1")
    (shelves.root / "cups" / "2").symlink_to("1")
    assert named(listing.look(shelves.root)) == {"cups": ["2", "1"]}


def test_a_folder_that_is_gone_is_told(shelves):
    shelves.root.rmdir()
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        listing.look(shelves.root)


def test_a_version_of_too_many_files_is_passed_over(shelves, cups):
    path = shelves.put(cups[0])
    for number in range(1024):
        (path / f"{number}.txt").touch()
    assert "more than 1024 files" in why(listing.look(shelves.root), shelves.root / "cups")


@pytest.mark.parametrize("file", ["1/tail.onnx", "1/evaluation.json", "serve.toml"])
def test_the_fingerprint_changes_with_every_file(shelves, cups, age, file):
    shelves.put(cups[0])
    shelves.say("")
    (before,) = listing.look(shelves.root).find("cups")
    (shelves.root / "cups" / file).touch()
    age(shelves.root / "cups" / file)
    assert before.fingerprint_now() != before.fingerprint
    (after,) = listing.look(shelves.root).find("cups")
    assert after.fingerprint == after.fingerprint_now()
