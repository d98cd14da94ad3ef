"""`isthmus chat` beside a real server; the server is a process, the command runs here."""

import json
import os
import pty
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from isthmus.bench import programs
from isthmus.cli.main import app

runner = CliRunner()
ASK = ["--max-tokens", "6", "--temperature", "0", "--prompt", "the head is on"]


@pytest.fixture(scope="module")
def address(language_bundle):
    with programs.server(language_bundle.folder) as server:
        yield server.match["grpc"]


def test_a_prompt_is_answered_and_what_it_cost_is_said(language_bundle, address):
    done = runner.invoke(app, ["chat", str(language_bundle.folder), "--tail", address, *ASK])
    assert done.exit_code == 0, done.stderr
    assert done.stdout.endswith("\n")
    assert f"head-tail at {address}" in " ".join(done.stderr.split())
    assert "tokens/s, first after" in " ".join(done.stderr.split())


def test_json_has_the_answer_its_tokens_and_its_bytes(language_bundle, address):
    command = ["chat", str(language_bundle.folder), "--tail", address, *ASK, "--json", "--logprobs", "2", "--seed", "7"]
    first, again = (json.loads(runner.invoke(app, command).stdout) for _ in range(2))
    [row] = first["rows"]
    assert [row["text"], row["tokens"]] == [again["rows"][0]["text"], again["rows"][0]["tokens"]]
    assert (first["meta"]["sampling"]["seed"], row["finish"], row["placements"]) == (7, "length", {"head-tail": 6})
    assert [likeliest[0][0] for likeliest in row["logprobs"]] == row["tokens"]
    assert row["bytes_up"] > row["prompt_tokens"] * 68
    assert row["server"] == address


def test_standard_input_is_the_prompt_where_none_is_given(language_bundle, address):
    command = ["chat", str(language_bundle.folder), "--tail", address, *ASK[:4]]
    piped = runner.invoke(app, command, input="the head is on")
    assert piped.exit_code == 0, piped.stderr
    assert piped.stdout == runner.invoke(app, [*command, *ASK[4:]]).stdout


def test_every_line_of_a_terminal_is_a_question_until_it_ends(language_bundle, address):
    ours, theirs = pty.openpty()
    os.write(ours, b"the head\n\nis on\n\x04")
    command = [sys.executable, "-m", "isthmus", "chat", language_bundle.folder, "--tail", address, *ASK[:4]]
    done = subprocess.run(command, stdin=theirs, capture_output=True, text=True, timeout=60, check=True)
    for one in (ours, theirs):
        os.close(one)
    assert done.stderr.count(f"head-tail at {address}") == 2
    assert done.stderr.count(">") == 4


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (["--prompt", "a"], 3, "no server is named"),
        (["--prompt", "a", "--local"], 3, "has no local.onnx"),
        (["--prompt", "a", "--local", "--tail", "127.0.0.1:1"], 2, "--local asks no server"),
        (["--prompt", "a", "--tail", "127.0.0.1"], 3, "is not a server address"),
        (["--prompt", "a", "--tail", "127.0.0.1:1", "--patience", "0.1s"], 5, "nobody listens"),
        (["--prompt", "", "--tail", "127.0.0.1:1"], 2, "nothing to answer"),
        (["--prompt", "a", "--tail", "127.0.0.1:1", "--top-p", "2"], 2, "top_p is 2"),
        (["--prompt", "a", "--tail", "127.0.0.1:1", "--layout", "sandwich"], 2, "layout 'sandwich'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_mistakes_are_one_line(language_bundle, options, code, words):
    done = runner.invoke(app, ["chat", str(language_bundle.folder), *options])
    assert (done.exit_code, len(done.stderr.strip().splitlines())) == (code, 1), done.stderr
    assert words in done.stderr


def test_a_bundle_of_frames_is_no_language_model(tiny_bundle):
    done = runner.invoke(app, ["chat", str(tiny_bundle.folder), "--tail", "127.0.0.1:1", "--prompt", "a"])
    assert (done.exit_code, "is no language model" in done.stderr) == (4, True)
