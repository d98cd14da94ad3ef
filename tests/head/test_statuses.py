import grpc
import pytest

from isthmus.errors import ContractMismatch, Overloaded, RemoteProtocolError, TailUnavailable, Unreachable
from isthmus.head.statuses import from_status


class Refusal(grpc.RpcError):
    def __init__(self, code, *metadata):
        self._code = code
        self._metadata = metadata

    def code(self):
        return self._code

    def details(self):
        return "why"

    def trailing_metadata(self):
        return self._metadata


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (grpc.StatusCode.FAILED_PRECONDITION, ContractMismatch),
        (grpc.StatusCode.UNAVAILABLE, Unreachable),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, TailUnavailable),
        (grpc.StatusCode.ABORTED, TailUnavailable),
        (grpc.StatusCode.UNIMPLEMENTED, RemoteProtocolError),
        (grpc.StatusCode.INVALID_ARGUMENT, RemoteProtocolError),
    ],
)
def test_a_status_becomes_an_error_of_ours(code, error):
    found = from_status("host:1", Refusal(code))
    assert type(found) is error
    assert "host:1" in str(found)
    assert "why" in str(found)


def test_a_refusal_with_a_hint_is_an_overload():
    found = from_status("host:1", Refusal(grpc.StatusCode.RESOURCE_EXHAUSTED, ("isthmus-retry-after-ms", "250")))
    assert (type(found), found.retry_after_ms, str(found)) == (Overloaded, 250, "host:1: why")
