"""`serve` and `run` as processes of their own, and how they fail."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import urllib.request

import pytest
from typer.testing import CliRunner

from isthmus.bench import programs
from isthmus.cli.main import app
from isthmus.head.link import Link

runner = CliRunner()


@pytest.fixture(scope="module")
def server(make_tiny_bundle):
    with programs.server(make_tiny_bundle().folder) as running:
        yield running


def _run(bundle, *arguments):
    return runner.invoke(app, ["run", str(bundle.folder), "--no-gate", *map(str, arguments)])


@pytest.mark.parametrize("placement", ["split", "offload", "local"])
def test_every_frame_is_answered(make_tiny_bundle, server, pictures, tmp_path, placement):
    sink = tmp_path / "answers.jsonl"
    arguments = ["--source", pictures, "--tail", server.match["grpc"], "--sink", f"jsonl:{sink}", "--placement", placement]
    done = _run(make_tiny_bundle(), *arguments)
    assert done.exit_code == 0, done.stderr
    records = [json.loads(line) for line in sink.read_text().splitlines()]
    assert [record["name"] for record in sorted(records, key=lambda r: r["sequence"])] == [f"{i}.png" for i in range(5)]
    assert {record["placement"] for record in records} == {placement}


def test_a_classifier_is_shown_too(make_tiny_bundle, pictures, tmp_path):
    done = _run(make_tiny_bundle(), "--source", pictures, "--placement", "local", "--sink", f"images:{tmp_path}/shown")
    assert done.exit_code == 0, done.stderr
    assert sorted(path.name for path in (tmp_path / "shown").iterdir()) == [f"00000{i}-{i}.jpg" for i in range(5)]


def test_split_and_local_answer_alike(make_tiny_bundle, server, pictures):
    labels = []
    for placement in ("split", "local"):
        arguments = ["--source", pictures, "--tail", server.match["grpc"], "--sink", "jsonl:-", "--placement", placement]
        lines = _run(make_tiny_bundle(), *arguments).stdout.splitlines()
        rows = sorted((json.loads(line) for line in lines), key=lambda row: row["sequence"])
        labels.append([row["label"] for row in rows])
    assert labels[0] == labels[1]


def test_check_says_that_all_is_in_order(make_tiny_bundle, server, pictures):
    done = _run(make_tiny_bundle(), "--source", pictures, "--tail", server.match["grpc"], "--check")
    assert done.exit_code == 0
    assert "in order" in done.output


def test_another_bundle_is_refused_with_both_digests(make_tiny_bundle, server, pictures):
    other = make_tiny_bundle(seed=7)
    done = _run(other, "--source", pictures, "--tail", server.match["grpc"])
    assert done.exit_code == 4
    assert other.digest[:12] in done.stderr
    assert make_tiny_bundle().digest[:12] in done.stderr


@pytest.mark.parametrize("extra", [[], ["--check"]])
def test_offload_to_a_server_that_takes_no_pictures_fails_at_the_start(make_tiny_bundle, pictures, extra):
    bundle = make_tiny_bundle()
    with programs.server(bundle.folder, extra=["--pictures", "off"]) as running:
        arguments = ["--source", pictures, "--tail", running.match["grpc"], "--placement", "offload", *extra]
        done = _run(bundle, *arguments)
    assert done.exit_code == 3
    assert "takes no pictures of bundle 'tiny'" in done.stderr
    assert "0 answered" not in done.stderr


def test_no_server_ends_with_5(make_tiny_bundle, pictures):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    done = _run(make_tiny_bundle(), "--source", pictures, "--tail", address, "--wait", "500ms")
    assert done.exit_code == 5
    assert "isthmus serve" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--source", "nothing-here", "--tail", "127.0.0.1:1"], 1, "does not exist"),
        (["--source", "PICTURES"], 2, "--tail HOST:PORT"),
        (["--source", "PICTURES", "--tail", "nonsense"], 3, "HOST:PORT"),
        (["--source", "PICTURES", "--tail", "127.0.0.1:1", "--deadline", "soon"], 2, "--deadline"),
        (["--source", "PICTURES", "--tail", "127.0.0.1:1", "--sink", "fax:1"], 3, "jsonl"),
        (["--source", "PICTURES", "--tail", "127.0.0.1:1", "--sink", "video:a.gif"], 3, ".mp4"),
        (["--source", "PICTURES", "--tail", "127.0.0.1:1", "--sink", "video:missing/a.mp4"], 3, "No such file"),
        (["--source", "PICTURES", "--tail", "127.0.0.1:1", "--point", "9"], 2, "operating point"),
        (["--source", "PICTURES", "--tail", "127.0.0.1:1", "--sink", "jsonl:-", "--json"], 2, "both write to standard output"),
        (["--source", "PICTURES", "--placement", "offload", "--picture", "gif-1", "--tail", "127.0.0.1:1"], 3, "jpeg"),
    ],
)
def test_a_mistake_is_one_line_with_its_exit_code(make_tiny_bundle, pictures, arguments, code, words):
    done = _run(make_tiny_bundle(), *[str(pictures) if word == "PICTURES" else word for word in arguments])
    assert done.exit_code == code, done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_an_unreadable_picture_is_skipped(make_tiny_bundle, server, pictures):
    (pictures / "2.png").write_bytes(b"not a picture")
    done = _run(make_tiny_bundle(), "--source", pictures, "--tail", server.match["grpc"], "--json")
    assert done.exit_code == 0
    assert json.loads(done.stdout)["rows"][0]["answered"] == 4


def _serve(*arguments):
    command = [sys.executable, "-m", "isthmus", "serve", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_a_busy_port_is_named(make_tiny_bundle, server):
    port = server.match["grpc"].rpartition(":")[2]
    done = _serve(make_tiny_bundle().folder, "--grpc-port", port, "--metrics-port", "0")
    assert done.returncode == 1
    assert port in done.stderr
    assert "Traceback" not in done.stderr


def test_the_world_is_not_served_without_asking(make_tiny_bundle):
    done = _serve(make_tiny_bundle().folder, "--host", "0.0.0.0", "--grpc-port", "0", "--metrics-port", "0")
    assert done.returncode == 3
    assert "--insecure" in done.stderr


def _repository(folder, bundle):
    shutil.copytree(bundle.folder, folder / "tiny" / "1")
    return folder


def test_a_repository_is_served(make_tiny_bundle, pictures, tmp_path):
    bundle = make_tiny_bundle()
    with programs.server(_repository(tmp_path, bundle), extra=["--mode", "poll", "--poll", "1h"]) as running:
        done = _run(bundle, "--source", pictures, "--tail", running.match["grpc"], "--json")
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)["rows"][0]["answered"] == 5


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["REPOSITORY", "--load", "tiny"], 2, "--load goes with --mode explicit"),
        (["REPOSITORY", "--mode", "poll", "--poll", "often"], 2, "--poll"),
        (["REPOSITORY", "--mode", "explicit", "--load", "other"], 4, "no bundle 'other'; it has 'tiny'"),
        (["BUNDLE", "--mode", "poll"], 2, "is one bundle"),
        (["EMPTY"], 4, "holds no bundle"),
        (["MISSING"], 4, "there is no bundle"),
        (["REPOSITORY", "--provider", "tensorrt"], 1, "provider tensorrt is asked for, onnxruntime here has"),
    ],
)
def test_a_repository_that_cannot_be_served_is_told_in_one_line(make_tiny_bundle, tmp_path, arguments, code, words):
    bundle = make_tiny_bundle()
    (tmp_path / "empty").mkdir()
    places = {"REPOSITORY": _repository(tmp_path / "repository", bundle), "BUNDLE": bundle.folder, "EMPTY": tmp_path / "empty"}
    places["MISSING"] = tmp_path / "missing"
    done = runner.invoke(app, ["serve", "--grpc-port", "0", "--metrics-port", "0", *(str(places.get(a, a)) for a in arguments)])
    assert done.exit_code == code, done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_sigterm_ends_the_server_with_143(make_tiny_bundle):
    with programs.server(make_tiny_bundle().folder) as running:
        running._process.send_signal(signal.SIGTERM)
        assert running._process.wait(20) == 143


def test_pings_of_an_idle_stream_do_not_cost_the_link(make_tiny_bundle, server):
    # A server that thinks one ping a second too many says so after the third.
    with Link(make_tiny_bundle(), [server.match["grpc"]], device_id="idle") as link:
        link.wait_connected(10.0)
        threading.Event().wait(5.5)
        assert link.connected
        assert link.reconnects == 0


def test_several_processes_serve_one_port(make_tiny_bundle, pictures):
    with programs.server(make_tiny_bundle().folder, extra=["--workers", "2"]) as server:
        done = _run(make_tiny_bundle(), "--source", pictures, "--tail", server.match["grpc"], "--json")
        assert json.loads(done.stdout)["rows"][0]["answered"] == 5


@pytest.fixture
def systemd(tmp_path):
    """systemd's end of a notification socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(tmp_path / "notify"))
        receiver.settimeout(30)
        yield receiver


def _next_message(receiver, wanted):
    while not (message := receiver.recv(200).decode()).startswith(wanted):
        pass
    return message


@pytest.fixture
def config(make_tiny_bundle, server, tmp_path):
    """agent.toml of a camera that is a process."""
    camera = tmp_path / "camera.py"
    camera.write_text("import os, time\nwhile True:\n    os.write(1, os.urandom(32 * 32))\n    time.sleep(0.01)\n")
    settings = {
        "bundle": str(make_tiny_bundle().folder),
        "source": f"cmd:{sys.executable} {camera}",
        "tail": [server.match["grpc"]],
        "frame_format": "gray",
        "frame_size": "32x32",
        "metrics_port": 0,
    }
    path = tmp_path / "agent.toml"
    path.write_text("".join(f"{name} = {json.dumps(value)}\n" for name, value in settings.items()))
    return path


def test_a_service_tells_systemd_and_whoever_looks_how_it_is(config, systemd, tmp_path):
    environment = {
        **os.environ,
        "NOTIFY_SOCKET": str(tmp_path / "notify"),
        "WATCHDOG_USEC": "100000",
        "ISTHMUS_DEVICE_ID": "porch",
    }
    command = [sys.executable, "-m", "isthmus", "run", "--config", str(config), "--no-gate"]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as agent:
        _next_message(systemd, "READY=1")
        assert "answers cmd" in _next_message(systemd, "STATUS=")
        _next_message(systemd, "WATCHDOG=1")
        page = next(json.loads(line)["address"] for line in agent.stderr if "status page" in line)
        with urllib.request.urlopen(f"{page}healthz", timeout=10) as health:
            assert health.status == 200
        with urllib.request.urlopen(f"{page}metrics", timeout=10) as metrics:
            text = metrics.read().decode()
        agent.send_signal(signal.SIGTERM)
        _next_message(systemd, "STOPPING=1")
        agent.communicate()
    assert agent.returncode == 143
    assert "isthmus_agent_link_up 1" in text
    assert 'device="porch"' in text


def test_systemd_does_not_hear_that_an_agent_without_a_server_is_ready(config, systemd, tmp_path):
    command = [sys.executable, "-m", "isthmus", "run", "--config", str(config), "--tail", "127.0.0.1:1", "--wait", "200ms"]
    environment = {**os.environ, "NOTIFY_SOCKET": str(tmp_path / "notify")}
    assert subprocess.run(command, env=environment, check=False, timeout=60).returncode == 5
    systemd.setblocking(False)
    with pytest.raises(BlockingIOError):
        systemd.recv(100)


def test_flags_count_over_the_file(config, pictures):
    done = runner.invoke(app, ["run", "--config", str(config), "--source", str(pictures), "--sink", "jsonl:-", "--no-gate"])
    assert done.exit_code == 0, done.stderr
    assert len(done.stdout.splitlines()) == 5


@pytest.mark.parametrize(
    ("arguments", "exit_code", "message"),
    [
        (["--source", "x"], 2, "no bundle is named"),
        (["BUNDLE"], 2, "no source is named"),
        (["BUNDLE", "--source", "x", "--config", "nothing.toml"], 3, "cannot be read"),
        (["BUNDLE", "--source", "x", "--tail", "a:1", "--cores", "9999"], 1, "none of the cores"),
    ],
)
def test_what_is_missing_is_named_before_anything_starts(make_tiny_bundle, arguments, exit_code, message):
    folder = str(make_tiny_bundle().folder)
    done = runner.invoke(app, ["run", *(folder if argument == "BUNDLE" else argument for argument in arguments)])
    assert (done.exit_code, message in done.stderr) == (exit_code, True)
