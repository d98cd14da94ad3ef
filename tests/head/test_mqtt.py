"""Records on the way through a real broker."""

import contextlib
import json
import queue
import socket
import subprocess
import sys
import threading

import pytest
from structlog.testing import capture_logs

from isthmus.errors import ConfigError, DeviceError
from isthmus.head import mqtt
from isthmus.head.record import Record
from isthmus.head.sink import open_sink

paho = pytest.importorskip("paho.mqtt.client", reason="the extra mqtt is not installed")
pytest.importorskip("amqtt", reason="the broker of the tests, amqtt, is not installed")
pytestmark = pytest.mark.timeout(60)
WAIT_S = 20


def record(sequence):
    return Record(device="porch", session="ab", sequence=sequence, name="", placement="split")


def free_port():
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return held.getsockname()[1]


BROKER = """
import asyncio, sys
from amqtt.broker import Broker
listener = {"type": "tcp", "bind": f"127.0.0.1:{sys.argv[1]}"}
plugin = {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": sys.argv[2] == "True"}}
async def main():
    await Broker({"listeners": {"default": listener}, "plugins": plugin}).start()
    print("up", flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
"""


class Broker:
    """amqtt as a process of its own, which dies when it is stopped, as brokers do."""

    def __init__(self, port, *, anonymous=True):
        command = [sys.executable, "-c", BROKER, str(port), str(anonymous)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        assert self._process.stdout.readline() == b"up\n"

    def stop(self):
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()


@pytest.fixture
def port():
    return free_port()


@pytest.fixture
def start(port):
    """A function that starts the broker on `port`."""
    with contextlib.ExitStack() as stack:

        def run(**options):
            broker = Broker(port, **options)
            stack.callback(broker.stop)
            return broker

        yield run


@pytest.fixture
def subscribe(port):
    """A function that gives a queue of (topic, payload) under a topic."""
    with contextlib.ExitStack() as stack:

        def run(topic):
            messages, ready = queue.SimpleQueue(), threading.Event()
            client = paho.Client(paho.CallbackAPIVersion.VERSION2)
            client.on_connect = lambda *_: client.subscribe(topic, qos=1)
            client.on_subscribe = lambda *_: ready.set()
            client.on_message = lambda _client, _data, message: messages.put((message.topic, message.payload.decode()))
            client.connect("127.0.0.1", port)
            client.loop_start()
            stack.callback(client.loop_stop)
            stack.callback(client.disconnect)
            assert ready.wait(WAIT_S)
            return messages

        yield run


def test_records_arrive_as_json_and_the_status_says_who_is_there(start, subscribe, port):
    start()
    messages = subscribe("cameras/#")
    sink = open_sink(f"mqtt://127.0.0.1:{port}/cameras/porch")
    for sequence in range(3):
        sink.write(record(sequence))
    sink.close()
    got = [messages.get(timeout=WAIT_S) for _ in range(5)]
    assert got[0] == ("cameras/porch/status", "online")
    assert [json.loads(payload) for topic, payload in got if topic == "cameras/porch"] == [record(i).as_json() for i in range(3)]
    assert got[-1] == ("cameras/porch/status", "offline")


def test_records_wait_for_a_broker_that_comes_back(start, subscribe, port):
    broker = start()
    sink = mqtt.Mqtt(f"mqtt://127.0.0.1:{port}/answers")
    sink._client.reconnect_delay_set(min_delay=1, max_delay=1)
    broker.stop()
    with sink._changed:
        assert sink._changed.wait_for(lambda: not sink._connected, WAIT_S)
    for sequence in range(4):
        sink.write(record(sequence))
    start()
    messages = subscribe("answers")
    got = {json.loads(messages.get(timeout=WAIT_S)[1])["sequence"] for _ in range(4)}
    sink.close()
    assert got == set(range(4))


def test_a_full_queue_loses_records_and_says_so(start, port, monkeypatch):
    monkeypatch.setattr(mqtt, "QUEUE_MAX", 5)
    broker = start()
    sink = mqtt.Mqtt(f"mqtt://127.0.0.1:{port}/answers")
    with sink._changed:
        assert sink._changed.wait_for(lambda: sink._unconfirmed == 0, WAIT_S)
    broker.stop()
    with sink._changed:
        assert sink._changed.wait_for(lambda: not sink._connected, WAIT_S)
    with capture_logs() as logs:
        for sequence in range(9):
            sink.write(record(sequence))
        sink.close()
    assert [entry["event"].split(":")[0] for entry in logs] == ["record lost", "the broker has not confirmed all records"]
    assert sink._lost >= 4


def test_a_broker_that_refuses_is_a_device_error(start, port):
    start(anonymous=False)
    with pytest.raises(DeviceError, match="refuses"):
        open_sink(f"mqtt://127.0.0.1:{port}/answers")
    open_sink(f"mqtt://agent:secret@127.0.0.1:{port}/answers").close()


def test_a_broker_that_is_not_there_is_a_device_error_without_the_password(port):
    with pytest.raises(DeviceError, match=r"\*\*\*@127\.0\.0\.1.*no broker answers") as caught:
        open_sink(f"mqtt://agent:secret@127.0.0.1:{port}/answers")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("address", ["mqtt://", "mqtt://host", "mqtt://host/", "mqtt://host/a/+/b", "mqtt:host/a"])
def test_an_address_without_a_topic_is_a_config_error(address):
    with pytest.raises(ConfigError, match="mqtt://HOST/TOPIC"):
        open_sink(address)
