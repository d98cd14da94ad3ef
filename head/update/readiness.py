"""Does a server of the device know a bundle? Asked before the device goes over to it."""

from collections.abc import Sequence

import grpc

from isthmus.contract.generated import split_pb2 as wire
from isthmus.contract.generated import split_pb2_grpc
from isthmus.errors import IsthmusError, TailUnavailable
from isthmus.head.credentials import Credentials
from isthmus.head.statuses import from_status
from isthmus.head.stream import CHANNEL_OPTIONS

TIMEOUT_S = 10.0


def is_served(contract: str, addresses: Sequence[str], credentials: Credentials) -> bool:
    """Whether one of the servers serves a contract.

    Args:
        contract: digest in hexadecimal.
        addresses: `host:port` of each.
        credentials: TLS and token.

    Raises:
        IsthmusError: none of them answers.
    """
    failure: IsthmusError | None = None
    answered = False
    for address in addresses:
        try:
            if bytes.fromhex(contract) in _served(address, credentials):
                return True
            answered = True
        except IsthmusError as error:
            failure = error
    if not answered:
        raise failure or TailUnavailable("the device has no server")
    return False


def _served(address: str, credentials: Credentials) -> set[bytes]:
    with credentials.open_channel(address, CHANNEL_OPTIONS) as channel:
        try:
            stub = split_pb2_grpc.TailStub(channel)
            reply = stub.Describe(wire.DescribeRequest(), timeout=TIMEOUT_S, metadata=credentials.metadata())
        except grpc.RpcError as error:
            raise from_status(address, error) from error
    return {described.contract_digest for described in reply.bundles}
