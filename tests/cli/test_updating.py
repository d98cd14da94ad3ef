"""`isthmus device update`, and an agent that is killed in the middle of it, as processes of their own."""

import json
import os
import shutil
import signal
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from isthmus.bench import programs
from isthmus.cli.agent_file import read_agent_file
from isthmus.cli.main import app
from isthmus.contract import trust as trusted
from isthmus.contract.bundle_writing import write_bundle
from isthmus.contract.sealing import sign_bundle

runner = CliRunner()


@pytest.fixture
def release(make_tiny_bundle, make_key, tmp_path):
    """A function that writes a signed archive of a version."""

    def make(version, *, key=1):
        path = tmp_path / f"tiny-{version}-{key}.isthmus"
        bundle = make_tiny_bundle(seed=int(version))
        manifest = bundle.manifest.model_copy(update={"version": version})
        write_bundle(path, manifest, {name: bundle.path(name) for name in manifest.files})
        sign_bundle(path, make_key(key))
        return path

    return make


@pytest.fixture
def config(release, make_key, tmp_path, monkeypatch):
    """agent.toml of an agent that was set up with version 1."""
    monkeypatch.setenv("ISTHMUS_CACHE", str(tmp_path / "cache"))
    trusted.add(tmp_path / "keys", make_key(1).public)
    camera = tmp_path / "camera.py"
    camera.write_text("import os, time\nwhile True:\n    os.write(1, os.urandom(32 * 32))\n    time.sleep(0.01)\n")
    settings = {"bundle": str(release("1")), "trust": str(tmp_path / "keys"), "source": f"cmd:{sys.executable} {camera}"}
    settings |= {"frame_format": "gray", "frame_size": "32x32", "placement": "local", "gate": False, "metrics_port": 0}
    lines = [f"{name} = {json.dumps(value)}" for name, value in settings.items()]
    update = f'\n[update]\nfolder = "{tmp_path}/updates"\nanswers = 3\nevery = "1h"\n'
    (tmp_path / "agent.toml").write_text("\n".join(lines) + update)
    return tmp_path / "agent.toml"


def update(verb, *arguments, config):
    return runner.invoke(app, ["device", "update", verb, *map(str, arguments), "--config", str(config), "--json"])


def row(done):
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)["rows"][0]


def test_the_table_of_updates_is_read_as_its_settings(config):
    asked = read_agent_file(config, {}).for_updates()
    assert (asked.answers, asked.every_s, asked.folder.name) == (3, 3600.0, "updates")


def test_a_bundle_is_looked_for_taken_shown_and_withdrawn(config, release):
    path = release("2")
    assert row(update("check", path, config=config))["kind"] == "new"
    taken = row(update("apply", path, config=config))
    assert (taken["kind"], row(update("status", config=config))["next"]) == ("ready", taken["archive"])
    assert row(update("check", path, config=config))["kind"] == "ready"
    assert "is withdrawn, factory goes on" in row(update("rollback", config=config))["words"]
    assert row(update("apply", path, config=config))["words"] == "not taken again: withdrawn by hand"
    assert row(update("apply", path, "--again", config=config))["kind"] == "ready"
    shown = runner.invoke(app, ["device", "update", "status", "--config", str(config)])
    assert taken["archive"][:12] in shown.stdout


@pytest.mark.parametrize(
    ("verb", "arguments", "code", "words"),
    [
        ("apply", ["OLDER"], 4, "is older"),
        ("apply", ["STRANGE"], 4, "is signed by"),
        ("apply", ["GARBAGE"], 4, "is not a bundle or is truncated"),
        ("apply", ["nothing-here"], 3, "is no place for updates"),
        ("apply", ["127.0.0.1:1"], 5, "127.0.0.1:1"),
        ("apply", ["tail"], 3, "has none"),
        ("apply", [], 2, "no source is named"),
        ("rollback", [], 3, "holds no updates"),
        ("status", [], 3, "holds no updates"),
    ],
)
def test_what_cannot_be_is_told_in_one_line_with_its_exit_code(config, release, tmp_path, verb, arguments, code, words):
    (tmp_path / "garbage.isthmus").write_bytes(b"PK" * 3000)
    places = {"GARBAGE": tmp_path / "garbage.isthmus", "OLDER": release("0"), "STRANGE": release("2", key=2)}
    done = update(verb, *[places.get(word, word) for word in arguments], config=config)
    assert done.exit_code == code, done.output
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_a_roll_back_without_an_update_is_told(config, release):
    update("check", release("2"), config=config)
    done = update("rollback", config=config)
    assert (done.exit_code, "there is nothing to go back to" in done.stderr) == (3, True)


class Agent:
    """`isthmus run` as a process; its log lines as they come."""

    def __init__(self, config, *more):
        command = [sys.executable, "-m", "isthmus", "run", "--config", str(config), "--log-format", "json", *more]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
        self.said = []

    def wait_for(self, event):
        for line in self.process.stderr:
            said = json.loads(line) if line.startswith("{") else {"event": line}
            self.said.append(said)
            if said["event"] == event:
                return said
        raise AssertionError(f"{event!r} was not said, but {self.said}")

    def end(self, number):
        self.process.send_signal(number)
        self.process.stderr.read()
        return self.process.wait(30)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.stderr.close()
        self.process.wait(30)


@pytest.mark.slow
def test_an_agent_that_is_killed_on_trial_comes_back_with_the_new_bundle_and_confirms_it(config, release):
    taken = row(update("apply", release("2"), config=config))
    with Agent(config, "--update-answers", "100000") as agent:
        assert agent.wait_for("gone over to the new bundle, on trial")["archive"] == taken["archive"][:12]
        agent.end(signal.SIGKILL)
    assert row(update("status", config=config))["on_trial"]
    with Agent(config) as agent:
        assert agent.wait_for("bundle chosen")["archive"] == taken["archive"][:12]
        agent.wait_for("the new bundle has proved itself")
        assert agent.end(signal.SIGTERM) == 143
    state = row(update("status", config=config))
    assert (state["on_trial"], state["previous"]) == (False, "factory")


@pytest.mark.slow
def test_a_fleet_gets_what_its_server_is_given(config, release, tmp_path):
    repository = tmp_path / "repository/tiny"
    (repository / "1").mkdir(parents=True)
    shutil.copy(release("1"), repository / "1/b.isthmus")
    (repository / "serve.toml").write_text('versions = "all"\n')
    text = config.read_text().replace('placement = "local"', 'placement = "split"')
    config.write_text(text.replace('every = "1h"', 'every = "200ms"\nsource = "tail"'))
    with (
        programs.server(repository.parent, extra=["--mode", "poll", "--poll", "200ms"]) as server,
        Agent(config, "--tail", server.match["grpc"]) as agent,
    ):
        agent.wait_for("link open")
        (tmp_path / "repository/.2").mkdir()
        shutil.copy(release("2"), tmp_path / "repository/.2/b.isthmus")
        os.rename(tmp_path / "repository/.2", repository / "2")
        agent.wait_for("the new bundle has proved itself")
        assert agent.end(signal.SIGTERM) == 143
    assert {said["event"] for said in agent.said} >= {"update fetched", "update ready", "gone over to the new bundle, on trial"}
