"""One connection to the metrics port: uvicorn's, which also knows the client's certificate and does not let a client dawdle."""

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

REQUEST_TIMEOUT_S = 10.0
"""From the connection, or from the last answer, to the end of a request's headers; in between one and twice as much."""


class Connection(H11Protocol):
    """A connection of uvicorn that closes when no request comes for a while.

    Args:
        arguments: what uvicorn gives to its protocols.
    """

    def __init__(self, **arguments: Any) -> None:  # noqa: ANN401
        super().__init__(**arguments)
        self._answered: object = None
        self._look_later: asyncio.TimerHandle | None = None
        self.ended = asyncio.Event()
        """Set once it is closed."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take it; a TLS handshake is over by now."""
        shown = transport.get_extra_info("ssl_object")
        if shown is not None and (encoded := shown.getpeercert(binary_form=True)):
            self.app_state = {**self.app_state, "certificate": encoded}
        super().connection_made(transport)
        self._look_later = self.loop.call_later(REQUEST_TIMEOUT_S, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        """Let it go."""
        if self._look_later is not None:
            self._look_later.cancel()
        super().connection_lost(exc)
        self.ended.set()

    def _look(self) -> None:
        """Close a connection on which no request has come since the last look, and none is being answered."""
        busy = self.cycle is not None and not self.cycle.response_complete
        if not busy and self.cycle is self._answered:
            self.transport.abort()
            return
        self._answered = self.cycle
        self._look_later = self.loop.call_later(REQUEST_TIMEOUT_S, self._look)
