"""Records to an MQTT broker: one JSON message a frame.

    mqtt://HOST/TOPIC               port 1883
    mqtts://USER@HOST:8883/TOPIC    TLS, checked against the system's authorities; the password in ISTHMUS_MQTT_PASSWORD

Records go to TOPIC with quality of service 1: the broker confirms each one, and one that is not confirmed is sent again, so that
a record may arrive twice; device, session and sequence tell. While the broker is away they wait, up to QUEUE_MAX of them.
TOPIC/status holds `online`, and `offline` when the agent has ended or its link has died (the broker says so itself).
"""

import importlib
import json
import os
import threading
from types import ModuleType
from typing import Any
from urllib.parse import unquote, urlsplit

import structlog

from isthmus.errors import ConfigError, DeviceError
from isthmus.head.record import Record
from isthmus.head.sources.web import without_password

PASSWORD_VARIABLE = "ISTHMUS_MQTT_PASSWORD"
QUEUE_MAX = 1000
"""Records that wait for the broker; about half a megabyte."""
CONNECT_TIMEOUT_S = 5.0
CLOSE_TIMEOUT_S = 5.0
"""How long the end of a run waits for what the broker has not confirmed."""
KEEPALIVE_S = 15
"""The broker says `offline` after 1.5 times this; short enough for an operator, and 4 packets a minute."""
_PORTS = {"mqtt": 1883, "mqtts": 8883}
_LEAST_ONCE = 1

_log = structlog.get_logger()


class Mqtt:
    """A sink that publishes records.

    Args:
        address: as in the docstring of this module.
        connect_timeout_s: how long the broker may take to answer at the start; later it may be away for as long as it likes.

    Raises:
        ConfigError: the address cannot be read, or the package paho-mqtt is missing.
        DeviceError: no broker answers there, or it refuses this client.
    """

    def __init__(self, address: str, *, connect_timeout_s: float = CONNECT_TIMEOUT_S) -> None:
        self._shown = without_password(address)
        parts = urlsplit(address)
        self._topic = parts.path.strip("/")
        if not parts.hostname or not self._topic or any(sign in self._topic for sign in "+#\0"):
            raise ConfigError(f"sink {self._shown} cannot be read; write mqtt://HOST/TOPIC, the topic without + and #")
        self._changed = threading.Condition()
        self._refusal: str | None = None
        self._connected = False
        self._unconfirmed = 0
        self._lost = 0
        self._client = self._make_client(parts.scheme == "mqtts", parts.username, parts.password)
        try:
            self._client.connect(parts.hostname, parts.port or _PORTS[parts.scheme], keepalive=KEEPALIVE_S)
        except (OSError, ValueError) as error:
            raise DeviceError(f"sink {self._shown}: no broker answers: {error}") from error
        self._client.loop_start()
        self._wait_connected(connect_timeout_s)

    def _make_client(self, encrypted: bool, user: str | None, password: str | None) -> Any:  # noqa: ANN401 - see _import_paho
        paho = _import_paho()
        client = paho.Client(paho.CallbackAPIVersion.VERSION2)
        client.connect_timeout = CONNECT_TIMEOUT_S
        client.max_queued_messages_set(QUEUE_MAX)
        client.reconnect_delay_set(min_delay=1, max_delay=30)
        client.will_set(f"{self._topic}/status", "offline", qos=_LEAST_ONCE, retain=True)
        if encrypted:
            client.tls_set()
        if user is not None:
            secret = os.environ.get(PASSWORD_VARIABLE) if password is None else unquote(password)
            client.username_pw_set(unquote(user), secret)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        return client

    def _wait_connected(self, timeout_s: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._connected or self._refusal, timeout_s)
            refusal = self._refusal
            if self._connected:
                return
        self._client.disconnect()
        self._client.loop_stop()
        raise DeviceError(f"sink {self._shown}: the broker {f'refuses: {refusal}' if refusal else 'does not answer'}")

    def _on_connect(self, client: Any, _data: object, _flags: object, reason: Any, _properties: object) -> None:  # noqa: ANN401
        with self._changed:
            self._refusal = str(reason) if reason.is_failure else None
            self._connected = not reason.is_failure
            self._changed.notify_all()
        if reason.is_failure:
            return
        self._publish(client, f"{self._topic}/status", "online", retain=True)
        if self._lost:
            _log.warning("records were lost while the broker was away", sink=self._shown, records=self._lost)
            self._lost = 0

    def _on_disconnect(self, _client: object, _data: object, _flags: object, reason: Any, _properties: object) -> None:  # noqa: ANN401
        with self._changed:
            was_connected, self._connected = self._connected, False
            self._changed.notify_all()
        if was_connected and reason.is_failure:
            _log.warning("broker lost", sink=self._shown, reason=str(reason))

    def _on_publish(self, *_: object) -> None:
        with self._changed:
            self._unconfirmed -= 1
            self._changed.notify_all()

    def write(self, record: Record) -> None:
        """Hand one record over: it is on its way, or waits for the broker, or is one too many, which is lost and counted."""
        self._publish(self._client, self._topic, json.dumps(record.as_json(), separators=(",", ":")))

    def _publish(self, client: Any, topic: str, payload: str, *, retain: bool = False) -> None:  # noqa: ANN401
        with self._changed:
            self._unconfirmed += 1
        info = client.publish(topic, payload, qos=_LEAST_ONCE, retain=retain)
        if info.rc == _import_paho().MQTT_ERR_QUEUE_SIZE:
            with self._changed:
                self._unconfirmed -= 1
            self._lost += 1
            if self._lost == 1:
                _log.warning("record lost: the broker is away and the queue is full", sink=self._shown, waiting=QUEUE_MAX)

    def close(self) -> None:
        """Wait for what is not confirmed yet, say `offline`, and go."""
        self._publish(self._client, f"{self._topic}/status", "offline", retain=True)
        with self._changed:
            if not self._changed.wait_for(lambda: self._unconfirmed <= 0, CLOSE_TIMEOUT_S if self._connected else 0.0):
                _log.warning("the broker has not confirmed all records", sink=self._shown, records=self._unconfirmed)
        self._client.disconnect()
        self._client.loop_stop()


def _import_paho() -> ModuleType:
    try:
        return importlib.import_module("paho.mqtt.client")
    except ImportError as error:
        raise ConfigError("sink mqtt: needs the package paho-mqtt; pip install 'isthmus[mqtt]'") from error
