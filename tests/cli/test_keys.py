"""`keys`, and the commands that sign or check: what a user types, and one line for every mistake."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from isthmus.bench import programs
from isthmus.cli import keys
from isthmus.cli.main import app
from isthmus.contract.bundle_writing import write_bundle
from isthmus.contract.key_file import private_pem, public_pem

ROOT = Path(__file__).resolve().parents[2]
runner = CliRunner()


@pytest.fixture(autouse=True)
def place(make_tiny_bundle, make_key, tmp_path, monkeypatch):
    """A working folder with the bundle `b`, and keys `one` and `two`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ISTHMUS_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv(keys.PASSPHRASE_VARIABLE, raising=False)
    shutil.copytree(make_tiny_bundle().folder, "b")
    for number, name in ((1, "one"), (2, "two")):
        Path(f"{name}.pub").write_bytes(public_pem(make_key(number).public))
        Path(f"{name}.key").write_bytes(private_pem(make_key(number), None))
        Path(f"{name}.key").chmod(0o600)


def isthmus(line, **options):
    return runner.invoke(app, shlex.split(line), **options)


def ok(line, **options):
    done = isthmus(line, **options)
    assert done.exit_code == 0, done.stderr
    return done.stdout


def refused(line, code):
    done = isthmus(line)
    assert done.exit_code == code, done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    return done.stderr


def rows(line):
    return json.loads(ok(f"{line} --json"))["rows"]


def test_a_new_pair_signs_and_is_trusted(make_key):
    [made] = rows("keys new maker -o deep/er")
    ok("keys sign b --key deep/er/maker.key")
    gates = rows("verify b --key deep/er/maker.pub")
    assert [gate["name"] for gate in gates] == ["digests", "signature", "codec", "head codes", "tail outputs"]
    assert gates[1]["detail"] == f"by {made['key_id']}"


def test_new_says_what_to_do_next():
    said = ok("keys new maker")
    assert re.search(r"^key [0-9a-f]{32}$", said, re.MULTILINE)
    assert "isthmus keys sign BUNDLE --key maker.key" in said


def test_new_overwrites_nothing():
    before = Path("one.key").read_bytes()
    assert "one.pub is there already" in refused("keys new one", 3)
    assert Path("one.key").read_bytes() == before


def test_a_name_with_a_folder_is_a_usage_error():
    assert "-o names the folder" in refused("keys new a/b", 2)


@pytest.mark.parametrize(
    ("line", "code", "words"),
    [
        ("verify b --key one.pub", 4, "is not signed"),
        ("verify b --key one.key", 3, "is a private key and a public one is needed"),
        ("verify b --key b", 3, "holds no public key"),
        ("verify b --key nowhere", 3, "there is no key file"),
        ("inspect b --key one.pub", 4, "is not signed"),
        ("serve b --trust one.pub --grpc-port 0 --metrics-port 0", 4, "is not signed"),
        ("run b --source nowhere --placement local --trust one.pub", 4, "is not signed"),
        ("keys sign b --key one.pub", 3, "is a public key and cannot sign"),
        ("keys sign nowhere --key one.key", 4, "there is no bundle"),
        ("keys trust one.key trusted", 3, "is a private key"),
        ("keys trust one.pub trusted --id 00", 3, "nothing was trusted"),
        ("keys trust none.succession trusted", 3, "none.succession"),
        ("keys show b", 2, "isthmus inspect b"),
        ("keys rotate one.pub maker2", 3, "cannot sign"),
        ("export m.onnx -o out --sign nowhere.key", 3, "there is no key file"),
    ],
)
def test_a_mistake_is_one_line_with_its_exit_code(line, code, words):
    assert words in refused(line, code)


def test_a_stranger_s_signature_names_both_keys(make_key):
    ok("keys sign b --key one.key")
    said = refused("verify b --key two.pub", 4)
    assert make_key(1).public.id in said
    assert make_key(2).public.id in said


def test_a_bundle_changed_after_signing_is_refused_and_served_to_nobody():
    ok("keys sign b --key one.key")
    manifest = Path("b/manifest.json")
    manifest.write_text(manifest.read_text().replace('"version": "1"', '"version": "2"'))
    for line in ("verify b --key one.pub", "serve b --trust one.pub --grpc-port 0 --metrics-port 0"):
        assert "is not over this manifest" in refused(line, 4)


def test_inspect_shows_claims_as_claims_and_checks_with_a_key(make_key):
    assert "none" in re.search(r"signature.*", ok("inspect b"))[0]
    ok("keys sign b --key one.key")
    assert f"by {make_key(1).public.id}, as it says of itself" in ok("inspect b")
    assert f"good, by {make_key(1).public.id}" in ok("inspect b --key one.pub")
    meta = json.loads(ok("inspect b --json"))["meta"]
    assert meta["signatures"] == [make_key(1).public.id]
    assert meta["signed_by"] is None


def test_inspect_shows_a_bundle_whose_signatures_cannot_be_read():
    Path("b/manifest.sig").write_bytes(b"garbage")
    assert "not readable" in ok("inspect b")


def test_a_rotation_locks_nobody_out_and_ends_with_the_new_key_alone(make_key):
    ok("keys trust one.pub trusted")
    ok("keys sign b --key one.key")
    [made] = rows("keys rotate one.key maker2")
    ok("keys sign b --key maker2.key")
    ok("verify b --key trusted")
    ok("keys trust maker2.succession trusted")
    Path(f"trusted/{make_key(1).public.id}.pub").unlink()
    assert rows("verify b --key trusted")[1]["detail"] == f"by {made['key_id']}"
    assert refused("keys trust maker2.succession one.pub", 3)


def test_a_succession_by_a_key_that_is_not_trusted_is_refused():
    ok("keys rotate one.key maker2")
    ok("keys trust two.pub trusted")
    assert "only a trusted key names its successor" in refused("keys trust maker2.succession trusted", 4)
    assert len(os.listdir("trusted")) == 1


def test_a_rotation_overwrites_nothing():
    Path("maker2.succession").touch()
    assert "is there already" in refused("keys rotate one.key maker2", 3)
    assert not Path("maker2.key").exists()


def test_a_key_is_trusted_only_under_the_id_that_was_told(make_key):
    ok(f"keys trust one.pub trusted --id {make_key(1).public.id.upper()}")
    assert make_key(2).public.id in refused(f"keys trust two.pub trusted --id {make_key(1).public.id}", 3)
    assert "was trusted already" in ok("keys trust one.pub trusted")


@pytest.mark.parametrize(("path", "what"), [("one.pub", "public key"), ("one.key", "private key"), (".", "trusted public key")])
def test_show_tells_what_a_file_is(make_key, path, what):
    assert {"what": what, "key_id": make_key(1).public.id} in rows(f"keys show {path}")


def test_show_tells_both_keys_of_a_succession(make_key):
    [made] = rows("keys rotate one.key maker2")
    assert [row["key_id"] for row in rows("keys show maker2.succession")] == [make_key(1).public.id, made["key_id"]]


# ----------------------------------------------------------------------------------------------------------- passphrases


def test_a_passphrase_in_the_environment_encrypts_and_opens(monkeypatch):
    monkeypatch.setenv(keys.PASSPHRASE_VARIABLE, "correct horse")
    ok("keys new maker")
    assert b"ENCRYPTED" in Path("maker.key").read_bytes()
    ok("keys sign b --key maker.key")
    monkeypatch.setenv(keys.PASSPHRASE_VARIABLE, "battery staple")
    assert "the passphrase is another" in refused("keys sign b --key maker.key", 3)


def test_a_passphrase_is_asked_for_twice_and_then_once(monkeypatch):
    monkeypatch.setattr(keys, "_is_terminal", lambda: True)
    ok("keys new maker --passphrase", input="horse\nhorse\n")
    done = isthmus("keys sign b --key maker.key", input="horse\n")
    assert done.exit_code == 0
    assert "horse" not in done.output


def test_who_walks_away_from_the_question_has_interrupted(monkeypatch):
    monkeypatch.setattr(keys, "_is_terminal", lambda: True)
    assert isthmus("keys new maker --passphrase", input="").exit_code == 130
    assert not Path("maker.key").exists()


def test_without_a_terminal_the_variable_is_named(make_key):
    Path("sealed.key").write_bytes(private_pem(make_key(1), b"horse"))
    Path("sealed.key").chmod(0o600)
    assert keys.PASSPHRASE_VARIABLE in refused("keys sign b --key sealed.key", 3)
    assert keys.PASSPHRASE_VARIABLE in refused("keys new maker --passphrase", 3)


def test_the_key_that_follows_an_encrypted_one_is_encrypted(make_key, monkeypatch):
    Path("sealed.key").write_bytes(private_pem(make_key(1), b"horse"))
    monkeypatch.setattr(keys, "_is_terminal", lambda: True)
    ok("keys rotate sealed.key maker2", input="horse\nstaple\nstaple\n")
    assert b"ENCRYPTED" in Path("maker2.key").read_bytes()


def test_a_private_key_that_others_can_read_is_told():
    Path("one.key").chmod(0o644)
    done = isthmus("keys sign b --key one.key")
    assert done.exit_code == 0
    assert "chmod 600 one.key" in done.stderr


# -------------------------------------------------------------------------------------------------------- whole programs


def test_a_server_and_an_agent_that_trust_the_key_work_together(pictures):
    ok("keys sign b --key one.key")
    ok("keys trust one.pub trusted")
    with programs.server(Path("b"), extra=["--trust", "trusted"]) as server:
        said = ok(f"run b --source {pictures} --tail {server.match['grpc']} --no-gate --trust trusted --json")
    assert json.loads(said)["rows"][0]["answered"] == 5


def test_a_signed_export_is_signed(make_tiny_bundle, make_key, pictures):
    whole = make_tiny_bundle().folder / "whole.onnx"
    ok(f"export {whole} -o new.isthmus --data {pictures} --cut folded --bottleneck none --bits 8 --sign one.key")
    assert make_key(1).public.id in ok("verify new.isthmus --key one.pub")


def test_without_the_library_the_extra_is_named():
    code = "import sys; sys.modules['cryptography'] = None; from isthmus.cli.main import main; main()"
    command = [sys.executable, "-c", code, "keys", "new", "maker"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "'cryptography': pip install 'isthmus[head]'" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_the_commands_of_the_page_run_one_after_the_other(make_tiny_bundle):
    made = make_tiny_bundle()
    write_bundle(Path("model.isthmus"), made.manifest, {name: made.path(name) for name in made.manifest.files})
    page = (ROOT / "docs/keys.md").read_text(encoding="utf-8")
    commands = re.findall(r"^ {4,}isthmus (.*)$", page, re.MULTILINE)
    assert len(commands) == 10
    for line in commands:
        ok(line)
    [old] = rows("keys show maker.pub")
    Path(f"trusted/{old['key_id']}.pub").unlink()
    ok("verify model.isthmus --key trusted")
