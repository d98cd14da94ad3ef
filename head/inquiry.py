"""An operator's question to a server: the picture of a frame that a device still holds."""

import grpc

from isthmus.contract.generated import split_pb2 as wire
from isthmus.contract.generated import split_pb2_grpc
from isthmus.errors import FrameNotHeld
from isthmus.head import handshake
from isthmus.head.addresses import check_address
from isthmus.head.credentials import Credentials
from isthmus.head.statuses import from_status
from isthmus.head.stream import CHANNEL_OPTIONS


def fetch_frame(
    address: str, request: wire.FetchFrameRequest, *, timeout_s: float, credentials: Credentials | None = None
) -> wire.Picture:
    """Fetch a picture.

    Args:
        address: `host:port` of the server that the device is connected to.
        request: names device, frame and purpose.
        timeout_s: how long it may take in all.
        credentials: TLS and token; default a plain connection without a token.

    Returns:
        The compressed picture, as the device made it.

    Raises:
        FrameNotHeld: the device has no stream there, or keeps no picture of that frame.
        TailUnavailable: the server or the device does not answer.
        AccessError: TLS or the token opens no door there.
        ConfigError: the address is none, or a file of the credentials cannot be used.
    """
    credentials = credentials or Credentials()
    metadata = credentials.metadata()
    with credentials.open_channel(check_address(address), CHANNEL_OPTIONS) as channel:
        try:
            reply = split_pb2_grpc.TailStub(channel).FetchFrame(request, timeout=timeout_s, metadata=metadata)
        except grpc.RpcError as error:
            if error.code() is grpc.StatusCode.NOT_FOUND:
                raise FrameNotHeld(error.details()) from error
            raise handshake.explain(address, credentials, error.details() or "") or from_status(address, error) from error
    picture: wire.Picture = reply.picture
    return picture
