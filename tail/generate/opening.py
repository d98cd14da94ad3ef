"""The first message of a conversation, and the reply to it."""

from isthmus import __version__
from isthmus.codec.hidden.codec import HiddenCodec
from isthmus.contract.generated import split_pb2 as wire
from isthmus.contract.limits import Limits
from isthmus.errors import RemoteProtocolError
from isthmus.tail.catalog import TEXT_MAX
from isthmus.tail.generate.model import TOKENS, LanguageModel
from isthmus.tail.generate.sessions import Session
from isthmus.tail.streams.opening import check_offer, peer_limits

POSITIONS_MIN = 256
"""Least room of a conversation; fewer would soon grow."""


def read_open(message: wire.Step, limits: Limits) -> wire.GenerateOpen:
    """Check a first message.

    Returns:
        The offer inside.

    Raises:
        RemoteProtocolError: it is no `open`, or a field of it cannot be.
        LimitExceeded: a text or a list in it is too long.
    """
    if message.WhichOneof("message") != "open":
        raise RemoteProtocolError(f"a conversation begins with open, got {message.WhichOneof('message') or 'an empty message'}")
    check_offer(message.open, limits)
    return message.open


def choose_layout(model: LanguageModel, wanted: str) -> str:
    """The layout of a conversation; the bundle's own where none is named.

    Raises:
        RemoteProtocolError: it is not served.
    """
    layout = wanted or model.layouts[0]
    if layout not in model.layouts:
        why = "; token ids need the whole model here, a bundle with local.onnx" if layout == TOKENS else ""
        raise RemoteProtocolError(f"layout {layout[:TEXT_MAX]!r} is not served, {', '.join(model.layouts)} is{why}")
    return layout


def room_for(positions: int, positions_max: int) -> int:
    """Positions of a cache that shall hold so many: the next power of two, so that caches of many conversations are of few sizes.

    >>> room_for(0, 4096), room_for(300, 4096), room_for(3000, 3500)
    (256, 512, 3500)
    """
    return min(positions_max, max(POSITIONS_MIN, 1 << max(0, positions - 1).bit_length()))


def opened(
    session: Session,
    *,
    resumed: bool,
    codec: HiddenCodec,
    model: LanguageModel,
    limits: Limits,
    allowed: int,
    lease_s: float,
) -> wire.StepReply:
    """The reply to `open`."""
    return wire.StepReply(
        opened=wire.GenerateOpened(
            session=session.id,
            resumed=resumed,
            modes=[wire.Mode.Name(mode) for mode in codec.modes],
            allowed=allowed,
            positions_held=session.positions,
            positions_max=model.bundle.manifest.positions_max,
            lease_s=round(lease_s),
            server_version=__version__,
            limits=peer_limits(limits),
        )
    )
