"""The first exchange on a stream: a greeting goes out, and what comes back is a reply in time or an error of ours."""

import threading
import time
from collections.abc import Callable
from typing import Any

import grpc

from isthmus.errors import IsthmusError, RemoteProtocolError, Unreachable
from isthmus.head import handshake
from isthmus.head.credentials import Credentials
from isthmus.head.statuses import from_status

_LOOK_S = 0.1
"""How often an attempt to connect looks whether it was given up."""


def first_reply(
    call: Any,  # noqa: ANN401 - gRPC has no types
    address: str,
    credentials: Credentials,
    *,
    timeout_s: float,
    given_up: Callable[[], bool] = lambda: False,
) -> Any:  # noqa: ANN401
    """Wait for the first message; gRPC connects meanwhile, and a refused connection ends the call at once.

    Raises:
        Unreachable: nobody answers there in time, or the attempt was given up.
        TailUnavailable: the server has no room.
        AccessError: TLS or the token opens no door there.
        ContractMismatch: the server holds another bundle.
        RemoteProtocolError: whoever answers does not speak this protocol.
    """
    settled = threading.Event()
    watch = threading.Thread(target=_cancel_late, args=(call, timeout_s, given_up, settled), daemon=True)
    watch.start()
    try:
        return next(call)
    except StopIteration as error:
        raise RemoteProtocolError(f"{address} closed the stream before it answered the greeting") from error
    except grpc.RpcError as error:
        raise _not_opened(error, address, credentials, timeout_s) from error
    finally:
        settled.set()
        watch.join()


def _cancel_late(call: Any, timeout_s: float, given_up: Callable[[], bool], settled: threading.Event) -> None:  # noqa: ANN401
    late_at = time.monotonic() + timeout_s
    while not settled.wait(_LOOK_S):
        if given_up() or time.monotonic() >= late_at:
            call.cancel()
            return


def _not_opened(error: grpc.RpcError, address: str, credentials: Credentials, timeout_s: float) -> IsthmusError:
    if error.code() is grpc.StatusCode.CANCELLED:
        return Unreachable(f"no server answers at {address} within {timeout_s:g} s; is `isthmus serve` running?")
    if error.code() is grpc.StatusCode.UNAVAILABLE and "failed to connect" in (error.details() or ""):
        known = handshake.explain(address, credentials, error.details() or "")
        return known or Unreachable(f"nobody listens at {address}; is `isthmus serve` running there?")
    return from_status(address, error)
