"""The link of a device to its tails: keeps one stream open, and opens another when it breaks.

A session survives reconnects: the greeting of the next stream names it, and sequence numbers go on. With several addresses the
device prefers them in the order of rendezvous hashing (Thaler and Ravishankar 1998), so that devices spread evenly and stay put
when the list changes.
"""

import hashlib
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass

import structlog

from isthmus.codec import tables
from isthmus.codec.codec import offered
from isthmus.contract.bundle import Bundle
from isthmus.contract.generated import split_pb2 as wire
from isthmus.errors import AccessError, ConfigError, IsthmusError, Overloaded, TailUnavailable
from isthmus.head.credentials import Credentials
from isthmus.head.evidence import no_evidence
from isthmus.head.references import Codes, Dialogue, References
from isthmus.head.reply import Reply
from isthmus.head.retry import retry_delays
from isthmus.head.stream import Stream, greeting

log = structlog.get_logger()

_HOST = re.compile(r"\[[0-9A-Fa-f:.%a-z]+\]|[^\s:/\[\]]+")
"""A name, an IPv4 address, or an IPv6 address in brackets; no scheme, which gRPC would follow."""
_PORT = re.compile(r"[0-9]{1,5}")


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkSettings:
    """How the link behaves."""

    connect_timeout_s: float = 5.0
    """One attempt: several round trips of a slow radio, and short enough to try the next address."""
    quick_retry_s: float = 5.0
    """So long after a break the link retries every 0.1 to 0.5 s: most breaks are short."""
    retry_max_s: float = 30.0
    """Longest pause between attempts; jittered, so that a fleet does not come back all at once."""


def preferred_order(device_id: str, addresses: Sequence[str]) -> list[str]:
    """Addresses by rendezvous hashing, the best one for this device first."""
    return sorted(addresses, key=lambda address: hashlib.sha256(f"{device_id}\n{address}".encode()).digest())


class Link:
    """A stream to one of several tails, kept alive in the background.

    Args:
        bundle: what the device runs; the server must hold the same.
        addresses: `host:port` of one or more equal servers.
        device_id: names this device in the server's session and logs.
        settings: time-outs and pauses.
        credentials: TLS and token; default plain connections without a token.
        evidence: gives what this device keeps of a frame, by sequence number.

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
        self._settings = settings or LinkSettings()
        self._changed = threading.Condition()
        self._stream: Stream | None = None
        self._failure: IsthmusError | None = None
        self._last_error: IsthmusError | None = None
        self._closing = threading.Event()
        self._references = References()
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
                raise self._last_error or TailUnavailable(
                    f"no server answers at {', '.join(self.addresses)} within {timeout_s:g} s; is `isthmus serve` running?"
                )

    def check_pictures(self) -> None:
        """See that the server of the open stream takes pictures; without a stream there is nothing to see.

        Raises:
            ConfigError: it takes codes only.
        """
        stream = self._stream
        if stream is not None and not stream.opened.takes_pictures:
            raise ConfigError(
                f"{stream.address} takes no pictures of bundle {self._bundle.manifest.id!r}: the bundle has no whole.onnx, "
                "or the server runs with --pictures off; use --placement split"
            )

    @property
    def connected(self) -> bool:
        """Whether a stream is open now."""
        stream = self._stream
        return stream is not None and stream.ended is None

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
        return stream.send(capture, codes)

    def close(self) -> None:
        """Answer what is in flight, close the stream and stop reconnecting."""
        self._closing.set()
        with self._changed:
            self._changed.notify_all()
        if self._keeper.ident is not None:
            self._keeper.join()

    def _keep(self) -> None:
        while self._connect():
            opened_at = time.monotonic()
            self._hold()
            if time.monotonic() - opened_at < self._settings.quick_retry_s:
                # A server that takes streams and ends them at once must not be asked without a pause.
                self._closing.wait(next(self._delays()))

    def _delays(self) -> Iterator[float]:
        return retry_delays(quick_s=self._settings.quick_retry_s, longest_s=self._settings.retry_max_s)

    def _connect(self) -> bool:
        """Try the addresses until one opens; False when the link is closed or cannot work."""
        for delay in self._delays():
            locked_out: list[IsthmusError] = []
            for address in self.addresses:
                if self._closing.is_set():
                    return False
                if self._try(address, locked_out):
                    return True
                if self._failure:
                    return False
            if len(locked_out) == len(self.addresses) and not self.session:
                # Whoever was let in once may be let in again, when a certificate or a token has been renewed.
                self._fail(locked_out[0])
                return False
            self._closing.wait(max(delay, self._asked_to_wait_s))
            if self._closing.is_set():
                return False
        return False

    @property
    def _asked_to_wait_s(self) -> float:
        """What the server that was tried last asked for, if it is there and had no room."""
        return self._last_error.retry_after_ms / 1000 if isinstance(self._last_error, Overloaded) else 0.0

    def _try(self, address: str, locked_out: list[IsthmusError]) -> bool:
        """Open a stream there; an error of TLS or of the token goes to `locked_out`."""
        manifest = self._bundle.manifest
        hello = greeting(manifest.id, manifest.contract_digest, self._modes, self._device_id, self.session)
        try:
            stream = Stream(
                address,
                hello,
                credentials=self._credentials,
                connect_timeout_s=self._settings.connect_timeout_s,
                on_change=self._notify,
                given_up=self._closing.is_set,
                references=self._references,
                evidence=self._evidence,
            )
        except TailUnavailable as error:
            log.debug("no stream", address=address, reason=str(error))
            self._last_error = error
            return False
        except (AccessError, ConfigError) as error:
            log.warning("no way in", address=address, reason=str(error))
            self._last_error = error
            locked_out.append(error)
            return False
        except IsthmusError as error:
            log.warning("link cannot work", address=address, reason=str(error))
            self._fail(error)
            return False
        self.session = stream.opened.session
        self._references.resumed(stream.opened.references if stream.opened.resumed else ())
        log.info("link open", address=address, resumed=stream.opened.resumed, session=self.session.hex()[:8])
        with self._changed:
            self._stream = stream
            self._changed.notify_all()
        return True

    def _fail(self, error: IsthmusError) -> None:
        with self._changed:
            self._failure = error
            self._changed.notify_all()

    def _hold(self) -> None:
        """Wait until the stream ends or the link is closed."""
        stream = self._stream
        assert stream is not None
        with self._changed:
            self._changed.wait_for(lambda: self._closing.is_set() or stream.ended or (stream.draining and not stream.in_flight))
            self._stream = None
        stream.close()
        if not self._closing.is_set():
            self.reconnects += 1
            log.warning("link lost", address=stream.address, reason=str(stream.ended or "the server drains"))

    def _notify(self) -> None:
        with self._changed:
            self._changed.notify_all()


def check_address(address: str) -> str:
    """`address` if it is `host:port`.

    Raises:
        ConfigError: it is not.
    """
    host, _, port = address.rpartition(":")
    if not _HOST.fullmatch(host) or not _PORT.fullmatch(port) or not 0 < int(port) < 65536:
        raise ConfigError(f"{address!r} is not a server address; write HOST:PORT, for example 192.0.2.7:8001")
    return address
