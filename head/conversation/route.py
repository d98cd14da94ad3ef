"""The way to one of several equal servers: found, kept, and found again at another one when it is lost."""

import time
from collections.abc import Callable, Sequence

import structlog

from isthmus.contract.generated import split_pb2 as wire
from isthmus.errors import ConfigError, IsthmusError, TailUnavailable
from isthmus.head.addresses import check_address
from isthmus.head.conversation.exchange import Exchange
from isthmus.head.credentials import Credentials
from isthmus.head.retry import retry_delays

_log = structlog.get_logger()

CONNECT_S = 5.0
"""To open a stream: several round trips of a slow radio."""
HASTY_CONNECT_S = 0.5
"""The same where the device can go on alone meanwhile."""


class Route:
    """At most one stream at a time.

    Args:
        addresses: `host:port`, the best one first.
        greet: makes the first message, with the session to go on with.
        credentials: TLS and token.
        on_doubt: see `Exchange`.

    Raises:
        ConfigError: no address, one that is not `host:port`, or one that the token must not go to.
    """

    def __init__(
        self,
        addresses: Sequence[str],
        greet: Callable[[bytes], wire.GenerateOpen],
        credentials: Credentials,
        *,
        on_doubt: Callable[[], None] = lambda: None,
    ) -> None:
        self._addresses = [check_address(address) for address in addresses]
        if not self._addresses:
            raise ConfigError("no server is named; give --tail HOST:PORT")
        for address in self._addresses:
            credentials.check_address(address)
        self._greet = greet
        self._credentials = credentials
        self._on_doubt = on_doubt
        self._session = b""
        self._session_at = ""
        self._exchange: Exchange | None = None
        self._bytes = (0, 0)
        self.held = 0
        """Positions of the conversation as it is now that the server has, or has been sent."""
        self.confirmed = 0
        """Those of which it has said so."""
        self.drew = False
        """Whether the server of the stream has drawn a token of this answer."""
        self.changes = 0
        """Streams that were lost."""

    @property
    def exchange(self) -> Exchange | None:
        """The stream that is open."""
        return self._exchange

    @property
    def address(self) -> str:
        """Where it leads; empty without one."""
        return "" if self._exchange is None else self._exchange.address

    @property
    def bytes_up_down(self) -> tuple[int, int]:
        """Of messages, over all streams."""
        open_now = (0, 0) if self._exchange is None else (self._exchange.bytes_up, self._exchange.bytes_down)
        return self._bytes[0] + open_now[0], self._bytes[1] + open_now[1]

    def find(self, *, patience_s: float, timeout_s: float = CONNECT_S, but: str = "", last: str = "") -> Exchange:
        """The stream that is open, or a new one.

        Args:
            patience_s: how long to look; each address is tried once in any case.
            timeout_s: for each attempt.
            but: an address that is not tried.
            last: an address that is tried behind all others: from one that fell silent only silence is to be expected.

        Raises:
            IsthmusError: what the last attempts met.
        """
        if self._exchange is not None and self._exchange.draining:
            self.lose(TailUnavailable(f"{self.address} drains"))
        until = time.monotonic() + patience_s
        pauses = retry_delays()
        while self._exchange is None:
            # Where the conversation is, it goes on without being sent again.
            order = sorted(self._addresses, key=lambda address: (address == last, address != self._session_at))
            error = self._try_all([address for address in order if address != but], timeout_s)
            pause_s = next(pauses)
            if error is not None and (not isinstance(error, TailUnavailable) or time.monotonic() + pause_s > until):
                raise error
            if error is not None:
                time.sleep(pause_s)
        return self._exchange

    def lose(self, reason: IsthmusError) -> None:
        """The stream is over, or does not live."""
        if self._exchange is None:
            return
        _log.warning("conversation's link lost", address=self.address, reason=str(reason))
        self._let_go(for_good=False)
        self.changes += 1

    def go_back(self, pos: int) -> None:
        """The conversation goes on from an earlier position."""
        self.held = min(self.held, pos)
        self.confirmed = min(self.confirmed, pos)

    def close(self) -> None:
        """End the conversation."""
        if self._exchange is not None:
            self._let_go(for_good=True)

    def _let_go(self, *, for_good: bool) -> None:
        if self._exchange is not None:
            self._exchange.close(for_good=for_good)
            self._bytes = self.bytes_up_down
            self._exchange = None

    def _try_all(self, addresses: Sequence[str], timeout_s: float) -> IsthmusError | None:
        """Try every address once; what they met, where none took the stream."""
        met: list[IsthmusError] = [] if addresses else [TailUnavailable("there is no other server")]
        for address in addresses:
            try:
                self._open(address, timeout_s)
            except IsthmusError as error:
                met.append(error)
            else:
                return None
        return next((error for error in met if isinstance(error, TailUnavailable)), met[0])

    def _open(self, address: str, timeout_s: float) -> None:
        session = self._session if address == self._session_at else b""
        exchange = Exchange(
            address,
            self._greet(session),
            credentials=self._credentials,
            connect_timeout_s=timeout_s,
            on_doubt=self._on_doubt,
        )
        opened = exchange.opened
        self.held = self.confirmed = min(self.confirmed, opened.positions_held) if opened.resumed else 0
        self._exchange, self.drew = exchange, False
        self._session, self._session_at = opened.session, address
        _log.info("conversation's link open", address=address, resumed=opened.resumed, positions=self.held)
