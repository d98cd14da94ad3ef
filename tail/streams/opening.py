"""The first message of a stream: who comes, with which bundle, and what both ends agree on."""

from isthmus.codec.codec import Codec
from isthmus.contract.generated import split_pb2 as wire
from isthmus.contract.limits import Limits
from isthmus.errors import LimitExceeded, RemoteProtocolError
from isthmus.tail.model import TailModel
from isthmus.tail.streams.sessions import ID_BYTES, Session

MODES_MAX = 64
"""Codec modes in an offer; there are seven."""


def read_open(message: wire.ToTail, limits: Limits) -> wire.Open:
    """Check a first message.

    Returns:
        The offer inside.

    Raises:
        RemoteProtocolError: it is no `open`, or a field of it cannot be.
        LimitExceeded: a text or a list in it is too long.
    """
    if message.WhichOneof("message") != "open":
        raise RemoteProtocolError(f"a stream begins with open, got {message.WhichOneof('message') or 'an empty message'}")
    offer = message.open
    check_offer(offer, limits)
    return offer


def check_offer(offer: wire.Open | wire.GenerateOpen, limits: Limits) -> None:
    """Check what every first message has.

    Raises:
        RemoteProtocolError: a field of it cannot be.
        LimitExceeded: a text or a list in it is too long.
    """
    for field, text in (("bundle", offer.bundle), ("device_id", offer.device_id), ("client_version", offer.client_version)):
        if len(text.encode()) > limits.text_bytes:
            raise LimitExceeded(f"{field} has {len(text.encode())} bytes, at most {limits.text_bytes} are taken")
    if len(offer.modes) > MODES_MAX:
        raise LimitExceeded(f"{len(offer.modes)} modes are offered, at most {MODES_MAX} are read")
    if len(offer.session) not in (0, ID_BYTES):
        raise RemoteProtocolError(f"a session id has {ID_BYTES} bytes, got {len(offer.session)}")


def opened(
    session: Session, *, resumed: bool, codec: Codec, model: TailModel, limits: Limits, allowed: int, server_version: str
) -> wire.FromTail:
    """The reply to `open`."""
    return wire.FromTail(
        opened=wire.Opened(
            session=session.id,
            resumed=resumed,
            modes=[wire.Mode.Name(mode) for mode in codec.modes],
            allowed=allowed,
            limits=peer_limits(limits),
            server_version=server_version,
            references=session.references,
            takes_pictures=model.takes_pictures,
        )
    )


def peer_limits(limits: Limits) -> wire.PeerLimits:
    """What this end accepts, as a message."""
    return wire.PeerLimits(
        message_bytes=limits.message_bytes,
        picture_bytes=limits.picture_bytes,
        picture_pixels=limits.picture_pixels,
        captures_in_flight=limits.captures_in_flight,
        references_kept=limits.references_kept,
    )
