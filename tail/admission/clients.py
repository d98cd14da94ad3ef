"""All clients of a server, by name. What is remembered of a client that is away is forgotten once it tells nothing any more."""

import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable

from isthmus.tail.admission.client import Client
from isthmus.tail.admission.limits import ClientLimits
from isthmus.tail.security.identity import Identity

REMEMBERED_MAX = 4096
"""Clients that are away and not back to full allowance. About a kilobyte each; beyond, who was away longest is forgiven."""
_NETWORK_BITS = 64
"""Of an IPv6 address: whoever has one address has all of the last 64 bits (RFC 6177), and could be a new client with each."""


class Clients:
    """Clients by name.

    Args:
        limits: of each.
        clock: seconds, monotonic.
    """

    def __init__(self, limits: ClientLimits, clock: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits
        self._clock = clock
        # In the order of last use, so that who was away longest stands first.
        self._clients: OrderedDict[str, Client] = OrderedDict()
        self._delayed_by_forgotten = 0

    def __len__(self) -> int:
        return len(self._clients)

    @property
    def delayed(self) -> int:
        """Credits that had to wait and calls refused for the rate, since the start."""
        return self._delayed_by_forgotten + sum(client.delayed for client in self._clients.values())

    def find(self, caller: Identity) -> Client:
        """The client that calls."""
        name = name_of(caller)
        client = self._clients.get(name)
        if client is None:
            self._forget()
            client = self._clients[name] = Client(name, self._limits, clock=self._clock)
        else:
            self._clients.move_to_end(name)
        return client

    def _forget(self) -> None:
        """Two at a time at most, so that a new client costs the same however many there are."""
        for _ in range(2):
            name, client = next(iter(self._clients.items()), ("", None))
            if client is None:
                return
            del self._clients[name]
            away = not (client.streams or client.in_flight)
            if not (client.is_idle or (away and len(self._clients) >= REMEMBERED_MAX)):
                self._clients[name] = client
            else:
                self._delayed_by_forgotten += client.delayed


def name_of(caller: Identity) -> str:
    """What tells a client from others: what it proved to be, or its address, of IPv6 the network.

    >>> from isthmus.tail.security.identity import anonymous
    >>> name_of(anonymous("192.0.2.7")), name_of(anonymous("2001:db8:1:2:3::7")), name_of(anonymous("unix"))
    ("anonymous '192.0.2.7'", "anonymous '2001:db8:1:2::/64'", "anonymous 'unix'")
    """
    if caller.kind != "anonymous":
        return str(caller)
    return f"anonymous {_network(caller.name)!r}"


def _network(host: str) -> str:
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv4Address):
        return host
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address, _NETWORK_BITS), strict=False))
