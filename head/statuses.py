"""What a gRPC status means to a device."""

import grpc

from isthmus.contract.overload import retry_after_ms
from isthmus.errors import (
    ContractMismatch,
    IsthmusError,
    Overloaded,
    PermissionDenied,
    RemoteProtocolError,
    TailUnavailable,
    Unauthenticated,
    Unreachable,
)

_CONTRACT = {grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.NOT_FOUND}
SILENT = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED}
"""What this end says when nothing came back; a server that lives says something else, or that it stops."""
_TRANSIENT = {
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.UNKNOWN,
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.ABORTED,
}


def from_status(address: str, error: grpc.RpcError) -> IsthmusError:
    """The exception of ours that a gRPC status stands for."""
    code, details = error.code(), error.details() or ""
    if code is grpc.StatusCode.UNAUTHENTICATED:
        return Unauthenticated(f"{address} refuses: {details}")
    if code is grpc.StatusCode.PERMISSION_DENIED:
        return PermissionDenied(f"{address} refuses: {details}")
    if code in _CONTRACT:
        return ContractMismatch(f"{address} refuses: {details}")
    if hint_ms := retry_after_ms(error.trailing_metadata()):
        return Overloaded(f"{address}: {details}", retry_after_ms=hint_ms)
    words = f"{address}: {code.name} {details}".rstrip()
    if code in SILENT:
        return Unreachable(words)
    return TailUnavailable(words) if code in _TRANSIENT else RemoteProtocolError(words)
