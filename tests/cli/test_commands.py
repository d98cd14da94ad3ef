"""Every command: help, a page in the docs, and one clear line for what is not built yet."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from isthmus.cli.later import COMMANDS
from isthmus.cli.main import app

ROOT = Path(__file__).resolve().parents[2]
BUILT = ["cuts", "export", "filter", "evaluate", "inspect", "verify", "triton", "serve", "run", "chat", "bench", "demo"]
BUILT += [f"keys {verb}" for verb in ("new", "sign", "rotate", "trust", "show")]
DEVICE = [f"device {verb}" for verb in ("probe", "sensors", "profiles", "doctor", "init")]
UPDATES = [f"device update {verb}" for verb in ("check", "apply", "rollback", "status")]
runner = CliRunner()


@pytest.mark.parametrize("command", [*BUILT, *COMMANDS, "device", *DEVICE])
def test_a_command_has_help(command):
    done = runner.invoke(app, [*command.split(), "--help"])
    assert done.exit_code == 0
    assert "Usage" in done.output


@pytest.mark.parametrize("command", [*BUILT, *COMMANDS, *DEVICE])
def test_a_command_has_a_docs_entry(command):
    assert command in (ROOT / "docs/cli.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("command", COMMANDS)
def test_what_is_not_built_says_so_in_one_line(command):
    done = runner.invoke(app, command.split())
    assert done.exit_code == 1
    assert "not built yet" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["serve", "b", "--engine", "ray"],
    ],
)
def test_an_option_that_is_not_built_is_named(arguments):
    done = runner.invoke(app, arguments)
    assert done.exit_code == 1
    assert "not built yet" in done.stderr


def test_the_demo_of_language_models_takes_no_pictures():
    done = runner.invoke(app, ["demo", "--llm", "--data", "pictures"])
    assert (done.exit_code, "--data is for pictures" in done.stderr) == (2, True)


def test_the_version_is_printed():
    assert runner.invoke(app, ["--version"]).output.startswith("isthmus ")


def test_an_unknown_command_is_a_usage_error():
    assert runner.invoke(app, ["fly"]).exit_code == 2


def test_probe_gives_json():
    done = runner.invoke(app, ["device", "probe", "--json"])
    assert done.exit_code == 0
    assert '"cores"' in done.output
