"""Addresses of servers: how one is written, in which order a device likes them, and where a name leads."""

import hashlib
import re
import socket
import threading
import time
from collections.abc import Sequence

from isthmus.errors import ConfigError

_HOST = re.compile(r"\[[0-9A-Fa-f:.%a-z]+\]|[^\s:/\[\]]+")
"""A name, an IPv4 address, or an IPv6 address in brackets; no scheme, which gRPC would follow."""
_PORT = re.compile(r"[0-9]{1,5}")
REFRESH_S = 10.0
"""After that a name is looked up again; what it led to before counts until an answer is there."""
PROMPT_S = 0.05
"""A name that is known on the machine is found in this time; others are not waited for."""

Endpoint = tuple[socket.AddressFamily, tuple[object, ...]]
"""What a socket connects to."""


def check_address(address: str) -> str:
    """`address` if it is `host:port`.

    Raises:
        ConfigError: it is not.
    """
    host, _, port = address.rpartition(":")
    if not _HOST.fullmatch(host) or not _PORT.fullmatch(port) or not 0 < int(port) < 65536:
        raise ConfigError(f"{address!r} is not a server address; write HOST:PORT, for example 192.0.2.7:8001")
    return address


def preferred_order(device_id: str, addresses: Sequence[str]) -> list[str]:
    """Addresses by rendezvous hashing, the best one for this device first (Thaler and Ravishankar 1998)."""
    return sorted(addresses, key=lambda address: hashlib.sha256(f"{device_id}\n{address}".encode()).digest())


class Names:
    """Looks names up without waiting for them: without a link a look-up hangs for many seconds."""

    def __init__(self) -> None:
        self._known: dict[str, list[Endpoint]] = {}
        self._asked: dict[str, tuple[threading.Thread, float]] = {}

    def find(self, address: str) -> list[Endpoint]:
        """Where an address leads, as far as that is known by now."""
        host, _, port = address.rpartition(":")
        host = host.removeprefix("[").removesuffix("]")
        try:
            return _look_up(host, port, socket.AI_NUMERICHOST)
        except OSError:
            self._ask(address, host, port)
        return self._known.get(address, [])

    def _ask(self, address: str, host: str, port: str) -> None:
        asked = self._asked.get(address)
        if asked is None or (not asked[0].is_alive() and time.monotonic() - asked[1] > REFRESH_S):
            thread = threading.Thread(target=self._learn, args=(address, host, port), name=f"isthmus-name-{host}", daemon=True)
            self._asked[address] = thread, time.monotonic()
            thread.start()
            thread.join(PROMPT_S)

    def _learn(self, address: str, host: str, port: str) -> None:
        try:
            self._known[address] = _look_up(host, port, 0)
        except OSError:
            return


def _look_up(host: str, port: str, flags: int) -> list[Endpoint]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags | socket.AI_NUMERICSERV)
    return [(family, where) for family, _, _, _, where in found]
