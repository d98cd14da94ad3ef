import json
import logging
import signal
import subprocess
import sys

import grpc
import pytest
import structlog

from isthmus.cli import logs
from isthmus.contract.generated import split_pb2 as wire
from isthmus.contract.generated import split_pb2_grpc

HOSTILE = 'camera\x1b[2J\n{"forged": 1}'


@pytest.fixture
def log(capsys):
    """A function that configures logs and gives a logger; another one that gives the lines so far."""

    def set_up(form, level=logging.INFO):
        logs.set_up(level=level, form=form)
        return structlog.get_logger("isthmus.test")

    yield set_up, lambda: capsys.readouterr().err.splitlines()
    logs._bridge(logging.Formatter())


def test_a_line_of_json_has_the_time_the_level_and_every_field(log):
    set_up, lines = log
    set_up("json").bind(stream=3).info("stream opened", device="camera", session="ab12")
    [line] = [json.loads(line) for line in lines()]
    assert (line["event"], line["level"]) == ("stream opened", "info")
    assert (line["stream"], line["device"], line["session"]) == (3, "camera", "ab12")
    assert line["timestamp"].endswith("Z")


def test_text_is_for_people(log):
    set_up, lines = log
    set_up("text").warning("stream refused", stream=3)
    [line] = lines()
    assert "stream refused" in line
    assert "stream=3" in line
    assert not line.startswith("{")


def test_lines_of_other_packages_have_the_same_form(log):
    set_up, lines = log
    set_up("json")
    logging.getLogger("asyncio").error("a task was lost: %s", "x")
    logging.getLogger("asyncio").info("nobody asked")
    assert [json.loads(line)["event"] for line in lines()] == ["a task was lost: x"]


def test_configuring_twice_writes_each_line_once(log):
    set_up, lines = log
    set_up("json")
    set_up("json")
    logging.getLogger("other").warning("once")
    assert len(lines()) == 1


def test_an_exception_is_one_line(log):
    set_up, lines = log
    logger = set_up("json")
    try:
        int("broken")
    except ValueError:
        logger.exception("computing failed")
    [line] = lines()
    assert "ValueError: invalid literal" in json.loads(line)["exception"]


@pytest.mark.parametrize("name", ["token", "authorization", "Authorization", "key_password", "client_secret", "private_key"])
@pytest.mark.parametrize("form", ["text", "json"])
def test_a_secret_is_never_written(log, form, name):
    set_up, lines = log
    set_up(form).error("refused", **{name: "hunter2"})
    logging.getLogger("other").error("refused", extra={name: "hunter2"})
    assert "hunter2" not in "".join(lines())


@pytest.mark.slow
def test_a_server_logs_json_with_the_ids_of_stream_device_and_frame(tiny_bundle):
    command = [sys.executable, "-m", "isthmus", "-v", "serve", str(tiny_bundle.folder), "--grpc-port", "0", "--metrics-port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
        ready = server.stdout.readline()
        address = ready.split("grpc=")[1].split()[0]
        with grpc.insecure_channel(address) as channel:
            digest = bytes.fromhex(tiny_bundle.digest)
            sent = [
                wire.ToTail(open=wire.Open(contract_digest=digest, device_id=HOSTILE)),
                wire.ToTail(capture=wire.Capture(sequence=7, codes=b"wrong")),
                wire.ToTail(close=wire.Close()),
            ]
            list(split_pb2_grpc.TailStub(channel).Stream(iter(sent)))
        server.send_signal(signal.SIGTERM)
        rest, errors = server.communicate(timeout=60)
    lines = [json.loads(line) for line in errors.splitlines() if line.startswith("{")]
    by_event = {line["event"]: line for line in lines}
    opened, refused = by_event["stream opened"], by_event["capture not computed"]
    assert rest == ""
    assert opened["device"] == refused["device"] == 'camera\\x1b[2J\\n{"forged": 1}'
    assert (refused["sequence"], refused["status"], refused["session"]) == (7, "invalid", opened["session"])
    assert by_event["stopped"]["level"] == "info"


@pytest.mark.slow
@pytest.mark.parametrize(("form", "start"), [("json", "{"), ("text", "2")])
def test_the_form_is_an_option_and_only_the_ready_line_is_on_standard_output(tiny_bundle, form, start):
    command = [sys.executable, "-m", "isthmus", "serve", str(tiny_bundle.folder), "--grpc-port", "0", "--metrics-port", "0"]
    with subprocess.Popen([*command, "--log-format", form], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
        assert server.stdout.readline().startswith("ready ")
        server.send_signal(signal.SIGTERM)
        rest, errors = server.communicate(timeout=60)
    assert rest == ""
    assert errors
    assert {line[:1] for line in errors.splitlines()} == {start}
