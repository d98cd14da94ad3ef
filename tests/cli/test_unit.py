import configparser
import shutil
import subprocess
import tomllib

import pytest
from typer.testing import CliRunner

from isthmus.cli.agent_file import AgentFile, read_agent_file
from isthmus.cli.main import app

runner = CliRunner()


def init(*arguments):
    return runner.invoke(app, ["device", "init", *map(str, arguments)])


def uncommented(path):
    """The file with every setting that it shows."""
    lines = path.read_text().splitlines()
    return "\n".join(
        line.removeprefix("# ") if " = " in line and line.split()[1] in AgentFile.model_fields else line for line in lines
    )


def test_the_file_holds_what_was_given_and_is_read_by_run(tmp_path):
    arguments = ("--bundle", "m.isthmus", "--source", "camera:1", "--tail", "a:1", "--tail", "b:2")
    assert init(tmp_path / "new", *arguments).exit_code == 0
    asked = read_agent_file(tmp_path / "new/agent.toml", {})
    assert (asked.source, asked.tail, asked.metrics_port) == ("camera:1", ("a:1", "b:2"), 8003)
    assert asked.bundle is not None
    assert asked.bundle.is_absolute()


def test_every_setting_stands_in_the_file_and_can_be_uncommented(tmp_path):
    init(tmp_path)
    path = tmp_path / "agent.toml"
    path.write_text(uncommented(path))
    assert set(tomllib.loads(path.read_text())) == set(AgentFile.model_fields)
    assert read_agent_file(path, {}).for_agent().drop_policy == "drop-oldest"


def test_the_unit_notifies_watches_and_starts_again(tmp_path):
    init(tmp_path, "--user", "camera")
    unit = configparser.ConfigParser(strict=False, interpolation=None, comment_prefixes="#")
    unit.optionxform = str
    unit.read(tmp_path / "isthmus-agent.service")
    service = unit["Service"]
    assert (service["Type"], service["WatchdogSec"], service["Restart"], service["User"]) == ("notify", "30", "always", "camera")
    assert service["ExecStart"].endswith(f"-m isthmus run --config {tmp_path / 'agent.toml'}")


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_finds_nothing_wrong_with_the_unit(tmp_path):
    init(tmp_path)
    command = ["systemd-analyze", "verify", "--man=no", str(tmp_path / "isthmus-agent.service")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert [line for line in done.stderr.splitlines() if "isthmus-agent" in line] == []


def test_files_that_are_there_are_kept(tmp_path):
    (tmp_path / "agent.toml").write_text("mine")
    done = init(tmp_path)
    assert done.exit_code == 3
    assert "--force" in done.stderr
    assert (tmp_path / "agent.toml").read_text() == "mine"
    assert init(tmp_path, "--force").exit_code == 0


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path):
    (tmp_path / "file").touch()
    done = init(tmp_path / "file/below")
    assert done.exit_code == 3
    assert len(done.stderr.strip().splitlines()) == 1
