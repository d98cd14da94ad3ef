"""The link of a device to its tails: keeps one stream open, and opens another when it breaks.

A session survives reconnects: the greeting of the next stream names it, and sequence numbers go on. With several addresses the
device prefers them in the order of rendezvous hashing (Thaler and Ravishankar 1998), so that devices spread evenly and stay put
when the list changes.

A stream on which nothing is heard while something is waited for is not cut: another one is sought beside it, and whichever lives
first goes on. A connection that stalled over a few lost packets so keeps what is under way, and one that hangs behind a link
that was gone costs no more than a new one needs.
"""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future

import structlog

from isthmus.codec import tables
from isthmus.codec.codec import offered
from isthmus.contract.bundle import Bundle
from isthmus.contract.generated import split_pb2 as wire
from isthmus.errors import ConfigError, ContractMismatch, IsthmusError, TailUnavailable
from isthmus.head.addresses import check_address, preferred_order
from isthmus.head.credentials import Credentials
from isthmus.head.evidence import no_evidence
from isthmus.head.references import Codes, Dialogue, References
from isthmus.head.reply import Reply
from isthmus.head.retry import retry_delays
from isthmus.head.search import LinkSettings, Search
from isthmus.head.stream import Stream, greeting

log = structlog.get_logger()

LISTEN_S = 0.1
"""How often an open stream is listened to while captures are under way."""


class Link:
    """A stream to one of several tails, kept alive in the background.

    Args:
        bundle: what the device runs; the server must hold the same.
        addresses: `host:port` of one or more equal servers.
        device_id: names this device in the server's session and logs.
        settings: time-outs and pauses.
        credentials: TLS and token; default plain connections without a token.
        evidence: gives what this device keeps of a frame, by sequence number.
        patient: go on trying where servers hold another bundle, instead of failing: a device that updates itself will get it.

    Raises:
        ConfigError: no address, one that is not `host:port`, or one that the token must not go to.
        BundleError: the bundle's codec tables are damaged.
    """

    def __init__(
        self,
        bundle: Bundle,
        addresses: Sequence[str],
        *,
        device_id: str,
        settings: LinkSettings | None = None,
        credentials: Credentials | None = None,
        evidence: Callable[[int], wire.Evidence] = no_evidence,
        patient: bool = False,
    ) -> None:
        self.addresses = preferred_order(device_id, [check_address(address) for address in addresses])
        if not self.addresses:
            raise ConfigError("no server is named; give --tail HOST:PORT")
        self._credentials = credentials or Credentials()
        for address in self.addresses:
            self._credentials.check_address(address)
        self._bundle = bundle
        self._modes = offered(tables.of_bundle(bundle))
        self._device_id = device_id
        self._evidence = evidence
        self._patient = patient
        self.refused: ContractMismatch | None = None
        """What a server said that holds another bundle; None again when one has taken the stream."""
        self._settings = settings or LinkSettings()
        self._search = Search(self.addresses, self._settings, self._open)
        self._changed = threading.Condition()
        self._stream: Stream | None = None
        self._failure: IsthmusError | None = None
        self._closing = threading.Event()
        self._references = References()
        self._sequence = -1
        self.session = b""
        self.reconnects = 0
        self._keeper = threading.Thread(target=self._keep, name="isthmus-link", daemon=True)

    def start(self) -> "Link":
        """Begin to connect; returns at once."""
        self._keeper.start()
        return self

    def __enter__(self) -> "Link":
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    def wait_connected(self, timeout_s: float) -> None:
        """Wait for the first stream.

        Raises:
            TailUnavailable: none came about within `timeout_s`; says what the last attempt met.
            ContractMismatch: a server answered and holds another bundle.
            AccessError: TLS or the token opens no door at any of the addresses.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._stream or self._failure, timeout_s)
            if self._failure:
                raise self._failure
            if self._stream is None:
                raise self._search.last_error or TailUnavailable(
                    f"no server answers at {', '.join(self.addresses)} within {timeout_s:g} s; is `isthmus serve` running?"
                )

    def check_pictures(self) -> None:
        """See that the server of the open stream takes pictures; without a stream there is nothing to see.

        Raises:
            ConfigError: it takes codes only.
        """
        stream = self._stream
        if stream is not None and not self.takes_pictures:
            raise ConfigError(
                f"{stream.address} takes no pictures of bundle {self._bundle.manifest.id!r}: the bundle has no whole.onnx, "
                "or the server runs with --pictures off; use --placement split"
            )

    @property
    def connected(self) -> bool:
        """Whether a stream is open now and not silent."""
        stream = self._stream
        return stream is not None and stream.ended is None and not stream.suspect

    def want(self) -> None:
        """A frame waits for the link: look for a server without long pauses."""
        self._search.want()

    @property
    def takes_pictures(self) -> bool:
        """Whether the server of the open stream takes pictures; without a stream one may hope so."""
        stream = self._stream
        return stream is None or stream.opened.takes_pictures

    @property
    def failure(self) -> IsthmusError | None:
        """An error that no retry can mend (another bundle, another protocol, never let in), or None."""
        return self._failure

    def wait_credit(self, timeout_s: float) -> bool:
        """Wait until a capture may be sent. A frame is encoded only with a credit in hand, so that the newest one wins."""
        until = time.monotonic() + timeout_s
        with self._changed:
            while not self._has_credit():
                left_s = until - time.monotonic()
                if left_s <= 0:
                    return False
                # Nobody tells when a pause that the server asked for is over.
                pause_s = self._stream.pause_s if self._stream is not None else 0.0
                self._changed.wait(min(left_s, pause_s) if pause_s else left_s)
            return True

    def _has_credit(self) -> bool:
        return self._stream is not None and self._stream.credits > 0

    @property
    def dialogue(self) -> Dialogue | None:
        """What to encode the next frame with; None while no stream is open."""
        stream = self._stream
        return None if stream is None else Dialogue(modes=tuple(stream.opened.modes), reference=self._references.latest)

    def next_sequence(self, wanted: int = 0) -> int:
        """A number for the next capture: the one that is wanted, or the next higher one that grows."""
        self._sequence = max(wanted, self._sequence + 1)
        return self._sequence

    def send(self, capture: wire.Capture, codes: Codes = ()) -> Future[Reply]:
        """Send a capture on the stream that is open.

        Args:
            capture: with a sequence number that grows.
            codes: what the server will hold once it has decoded the capture, if later frames may build on it.

        Returns:
            A future that holds the reply, or fails with TailUnavailable when the stream breaks.

        Raises:
            TailUnavailable: no stream is open.
        """
        stream = self._stream
        if stream is None:
            raise TailUnavailable(f"the link to {', '.join(self.addresses)} is down")
        future = stream.send(capture, codes)
        if stream.in_flight == 1:
            # Nobody listens to a stream on which nothing is under way.
            self._notify()
        return future

    def close(self) -> None:
        """Answer what is in flight, close the stream and stop reconnecting."""
        self._closing.set()
        with self._changed:
            self._changed.notify_all()
        if self._keeper.ident is not None:
            self._keeper.join()

    def _keep(self) -> None:
        held: Stream | None = None
        while not self._closing.is_set():
            try:
                found = self._search.run(
                    lambda: self._may_rest(held),  # noqa: B023
                    was_let_in=bool(self.session),
                    is_closing=self._closing.is_set,
                )
            except IsthmusError as error:
                log.warning("link cannot work", reason=str(error))
                self._fail(error)
                return
            if found is not None:
                self._take(found, instead_of=held)
            held = self._hold(found or held)
        if held is not None:
            held.close()

    def _may_rest(self, held: Stream | None) -> bool:
        """Whether a search can end: the link is closed, or the stream that was silent is not."""
        if held is not None:
            held.listen()
        return self._closing.is_set() or (held is not None and not held.ended and not held.suspect)

    def _open(self, address: str, given_up: Callable[[], bool]) -> Stream:
        manifest = self._bundle.manifest
        try:
            stream = Stream(
                address,
                greeting(manifest.id, manifest.contract_digest, self._modes, self._device_id, self.session),
                credentials=self._credentials,
                connect_timeout_s=self._settings.connect_timeout_s,
                on_change=self._notify,
                given_up=given_up,
                references=self._references,
                evidence=self._evidence,
                patience=self._settings.patience,
            )
        except ContractMismatch as error:
            if not self._patient:
                raise
            self.refused = error
            raise TailUnavailable(str(error)) from error
        self.refused = None
        return stream

    def _take(self, stream: Stream, *, instead_of: Stream | None) -> None:
        """Go on with a new stream; the server has ended the one before it, if that lives there at all."""
        if instead_of is not None:
            self._let_go(instead_of, "nothing was heard on it")
        self.session = stream.opened.session
        self._references.resumed(stream.opened.references if stream.opened.resumed else ())
        log.info("link open", address=stream.address, resumed=stream.opened.resumed, session=self.session.hex()[:8])
        with self._changed:
            self._stream = stream
            self._changed.notify_all()

    def _fail(self, error: IsthmusError) -> None:
        with self._changed:
            self._failure = error
            self._changed.notify_all()

    def _hold(self, stream: Stream | None) -> Stream | None:
        """Wait until the stream is over or silent; returns it if it is silent only, for it may come back."""
        if stream is None:
            return None
        began_at = time.monotonic()
        with self._changed:
            while not (self._closing.is_set() or stream.ended or stream.suspect or (stream.draining and not stream.in_flight)):
                stream.listen()
                self._changed.wait(LISTEN_S if stream.in_flight else None)
        if stream.suspect and not stream.ended and not self._closing.is_set():
            log.info("link silent", address=stream.address)
            return stream
        self._let_go(stream, "the server drains")
        if time.monotonic() - began_at < self._settings.quick_retry_s:
            # A server that takes streams and ends them at once must not be asked without a pause.
            self._closing.wait(next(retry_delays()))
        return None

    def _let_go(self, stream: Stream, reason: str) -> None:
        with self._changed:
            self._stream = None
        is_silent = stream.suspect
        stream.close(0.0 if is_silent else 1.0)
        if stream.is_mute:
            self._search.avoid(stream.address)
        if not self._closing.is_set():
            self.reconnects += 1
            log.warning("link lost", address=stream.address, reason=reason if is_silent else str(stream.ended or reason))

    def _notify(self) -> None:
        with self._changed:
            self._changed.notify_all()
