"""Who calls. Every handler of a gRPC call and of a page runs with its caller at hand: `current()`.

The doorkeeper (gRPC) and the porter (HTTP) set it before the handler runs, in the task of the call, so tasks that the handler
starts have it too. Nothing else sets it.
"""

from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from isthmus.tail.security.scopes import ALL, Scope


@dataclass(frozen=True, slots=True)
class Identity:
    """A caller. Equal identities share one budget, wherever they call from."""

    name: str
    """A token's id, a certificate's name, or the address (without port) that an anonymous caller has."""
    kind: Literal["anonymous", "token", "certificate"]
    scopes: frozenset[Scope]
    """What it may do."""

    @property
    def owner(self) -> str:
        """What belongs to this caller bears this name; empty for anonymous ones, whose address may change any time."""
        return "" if self.kind == "anonymous" else f"{self.kind} {self.name}"

    def __str__(self) -> str:
        return f"{self.kind} {self.name!r}"


NOBODY = Identity(name="", kind="anonymous", scopes=frozenset())
"""Outside of any call."""

_current: ContextVar[Identity] = ContextVar("isthmus_identity", default=NOBODY)


def current() -> Identity:
    """The caller of the gRPC call or the page that this task works for; `NOBODY` outside of one."""
    return _current.get()


def become(caller: Identity) -> None:
    """Let `current()` give `caller` for the rest of this task and in tasks that it starts: a call is a task of its own."""
    _current.set(caller)


def anonymous(host: str, scopes: frozenset[Scope] = ALL) -> Identity:
    """A caller of whom only the address is known."""
    return Identity(name=host, kind="anonymous", scopes=scopes)


@lru_cache(maxsize=1024)
def host_of(peer: str) -> str:
    """The host in gRPC's name of a peer.

    >>> host_of("ipv4:192.0.2.7:51000"), host_of("ipv6:%5B2001:db8::7%5D:51000"), host_of("unix:")
    ('192.0.2.7', '2001:db8::7', 'unix')
    """
    kind, _, rest = peer.partition(":")
    if kind not in ("ipv4", "ipv6"):
        return kind
    return rest.rpartition(":")[0].replace("%5B", "").replace("%5D", "").strip("[]")
