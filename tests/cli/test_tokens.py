"""`tokens`, and what a server and a device do with them: the commands that a user types."""

import json
import shlex
import stat
from pathlib import Path

import pytest
from typer.testing import CliRunner

from isthmus.bench import programs
from isthmus.cli import tokens
from isthmus.cli.main import app
from isthmus.tail.security.scopes import Scope

runner = CliRunner()


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ISTHMUS_CACHE", str(tmp_path / "cache"))


def isthmus(line, code=0):
    done = runner.invoke(app, shlex.split(line))
    assert done.exit_code == code, done.stderr
    return done


def rows(line):
    return json.loads(isthmus(f"{line} --json").stdout)["rows"]


def test_the_scopes_of_the_command_are_those_of_the_server():
    assert tuple(tokens.SCOPES) == tuple(Scope)


def test_a_new_token_is_the_only_thing_on_standard_output():
    done = isthmus("tokens new tokens.jsonl camera-1")
    assert done.stdout.startswith("isthmus_")
    assert len(done.stdout.split()) == 1
    assert done.stdout.strip() not in done.stderr


def test_a_token_in_a_file_is_not_printed_and_for_its_owner_alone():
    done = isthmus("tokens new tokens.jsonl camera-1 -o camera.token")
    token = Path("camera.token").read_text().strip()
    assert token not in done.stdout + done.stderr
    assert stat.S_IMODE(Path("camera.token").stat().st_mode) == 0o600
    assert token.startswith("isthmus_")


def test_a_file_that_is_there_is_not_overwritten_and_no_token_is_made():
    Path("camera.token").write_text("mine")
    done = isthmus("tokens new tokens.jsonl camera-1 -o camera.token", 3)
    assert "is not overwritten" in done.stderr
    assert Path("camera.token").read_text() == "mine"
    assert not Path("tokens.jsonl").exists()


def test_a_token_file_that_cannot_be_read_leaves_no_token_behind():
    Path("tokens.jsonl").write_text("{")
    isthmus("tokens new tokens.jsonl camera-1 -o camera.token", 3)
    assert not Path("camera.token").exists()


def test_the_list_shows_everything_but_the_token():
    [made] = rows("tokens new tokens.jsonl camera-1 --scopes stream,evidence --days 30")
    [row] = rows("tokens list tokens.jsonl")
    assert {**row, "token": made["token"]} == made
    assert (row["scopes"], row["state"]) == (["stream", "evidence"], "good")
    shown = isthmus("tokens list tokens.jsonl").stdout
    assert "camera-1" in shown
    assert made["token"].split("_", 2)[2] not in shown + Path("tokens.jsonl").read_text()


def test_a_revoked_token_says_so():
    isthmus("tokens new tokens.jsonl camera-1")
    [row] = rows("tokens revoke tokens.jsonl camera-1")
    assert row["state"].startswith("revoked on ")
    assert rows("tokens list tokens.jsonl") == [row]
    assert isthmus("tokens revoke tokens.jsonl camera-1").stdout == "camera-1 was revoked already\n"


@pytest.mark.parametrize(
    ("line", "code", "words"),
    [
        ("tokens new tokens.jsonl 'a b'", 2, "is not plain"),
        ("tokens new tokens.jsonl a --scopes stream,everything", 2, "'everything' is no scope; there are stream, infer"),
        ("tokens new tokens.jsonl a --days 0", 2, ""),
        ("tokens new nowhere/tokens.jsonl a", 3, "nowhere cannot be opened"),
        ("tokens list none.jsonl", 3, "there is no token file none.jsonl"),
        ("tokens revoke none.jsonl a", 3, "there is no token file none.jsonl"),
        ("serve b --tls-cert c", 3, "--tls-cert and --tls-key belong together"),
        ("serve b --tls-client-ca c", 3, "--tls-client-ca needs --tls-cert"),
        ("serve b --host 0.0.0.0 --tokens t", 3, "tokens could be read off the wire"),
    ],
)
def test_a_mistake_is_told_with_its_exit_code(line, code, words, make_tiny_bundle):
    done = isthmus(line.replace(" b ", f" {make_tiny_bundle().folder} "), code)
    assert words in done.stderr


# ------------------------------------------------------------------------------------------------- a server in its process


@pytest.mark.slow
def test_a_server_with_everything_lets_in_who_may_and_nobody_logs_a_token(make_tiny_bundle, make_authority, pictures):
    bundle, authority = make_tiny_bundle().folder, make_authority()
    (cert, key), (camera, camera_key) = authority.issue("server"), authority.issue("camera-1")
    for name, scope in (("camera-1", "stream"), ("viewer", "metrics"), ("late", "stream")):
        isthmus(f"tokens new tokens.jsonl {name} --scopes {scope} -o {name}.token")
    isthmus("tokens revoke tokens.jsonl late")
    Path("wrong.token").write_text("isthmus_000000000000_" + "W" * 43)
    security = ["--tls-cert", cert, "--tls-key", key, "--tls-client-ca", authority.file, "--tokens", "tokens.jsonl"]
    said = []
    with programs.server(bundle, extra=[str(word) for word in security]) as server:
        tail = server.match["grpc"].replace("127.0.0.1", "localhost")
        shown = f"--tls-ca {authority.file} --tls-cert {camera} --tls-key {camera_key}"
        for token, code, words in (
            ("--token-file camera-1.token", 0, "are in order"),
            ("--token-file viewer.token", 3, "has the scopes metrics, and this call needs stream"),
            ("--token-file late.token", 3, "revoked on"),
            ("--token-file wrong.token", 3, "the token is none of this server's"),
            ("", 3, "asks for a token and none came"),
        ):
            done = isthmus(f"-v run {bundle} --source {pictures} --tail {tail} {shown} {token} --check", code)
            said.append(done.stdout + done.stderr)
            assert words in " ".join(said[-1].split())
        server._errors.seek(0)
        log = server._errors.read()
    assert "call refused" in log
    for file in Path().glob("*.token"):
        secret = file.read_text().strip().split("_", 2)[2]
        assert all(secret[:12] not in text for text in (*said, log))
