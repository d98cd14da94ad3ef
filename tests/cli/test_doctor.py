import json

import pytest
from typer.testing import CliRunner

from isthmus.bench import programs
from isthmus.cli.main import app

runner = CliRunner()


@pytest.fixture(scope="module")
def server(make_tiny_bundle):
    with programs.server(make_tiny_bundle().folder) as running:
        yield running


def doctor(*arguments):
    done = runner.invoke(app, ["device", "doctor", "--json", *map(str, arguments)])
    return done.exit_code, {row["check"]: row for row in json.loads(done.stdout)["rows"]}


def test_this_machine_is_fit_and_bundle_source_and_server_work(make_tiny_bundle, server, pictures):
    address = server.match["grpc"]
    exit_code, found = doctor(make_tiny_bundle().folder, "--source", pictures, "--tail", address)
    assert exit_code == 0
    assert "60x40, 3 frame(s)" in found["source"]["found"]
    assert "ms a frame on CPUExecutionProvider" in found["head"]["found"]
    assert found[f"server {address}"]["verdict"] == "ok"


@pytest.mark.parametrize(
    ("arguments", "exit_code", "check"),
    [
        (["BUNDLE", "--tail", "127.0.0.1:1"], 5, "server 127.0.0.1:1"),
        (["nothing-here"], 4, "bundle"),
        (["BUNDLE", "--source", "nothing-here"], 1, "source"),
    ],
)
def test_the_first_failure_gives_the_exit_code(make_tiny_bundle, arguments, exit_code, check):
    folder = make_tiny_bundle().folder
    code, found = doctor(
        *[folder if argument == "BUNDLE" else argument for argument in arguments], *["--config", _config(folder)]
    )
    assert code == exit_code
    assert found[check]["verdict"] == "fail"
    assert found[check]["advice"]


def _config(folder):
    path = folder.parent / "agent.toml"
    path.write_text('wait = "500ms"\n')
    return path


def test_a_damaged_bundle_is_found(make_tiny_bundle, tmp_path):
    exit_code, found = doctor(make_tiny_bundle("off", golden_offset=0.0, without=("golden.npz",)).folder)
    assert (exit_code, found["bundle"]["verdict"]) == (4, "fail")


def test_people_get_a_table(pictures):
    done = runner.invoke(app, ["device", "doctor", "--source", str(pictures)])
    assert done.exit_code == 0
    assert "onnxruntime" in done.output


def test_what_does_not_start_here_is_not_imported_and_ends_the_examination(monkeypatch, pictures):
    from isthmus.devices import detect

    monkeypatch.setattr(detect, "_ONNXRUNTIME", "import os, signal; os.kill(os.getpid(), signal.SIGILL)")
    exit_code, found = doctor("--source", pictures)
    assert exit_code == 1
    assert "SIGILL" in found["onnxruntime"]["found"]
    assert "source" not in found


@pytest.mark.parametrize(("setting", "words"), [("", "of the events pass"), ("filter = false\n", "the settings leave it out")])
def test_a_filter_says_what_it_promises(make_tiny_bundle, setting, words):
    folder = make_tiny_bundle(filtered=0.0).folder
    config = _config(folder)
    config.write_text(config.read_text() + setting)
    _, found = doctor(folder, "--config", config)
    assert words in found["filter"]["found"]
    assert found["filter"]["verdict"] == "ok"
