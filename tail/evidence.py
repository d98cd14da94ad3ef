"""`FetchFrame`: brings an operator the picture of a frame that a device still holds.

Codes cannot be looked at or relabelled, so the picture has to come from the device. It is relayed and not kept: the server
checks that it is a picture within its limits, and decodes nothing.
"""

from collections.abc import Awaitable, Callable

import structlog

from isthmus.contract import picture
from isthmus.contract.generated import split_pb2 as wire
from isthmus.contract.limits import Limits
from isthmus.errors import FrameNotHeld, IsthmusError, LimitExceeded
from isthmus.tail.streams.sessions import Sessions

TIMEOUT_S = 10.0
"""Where the operator's call has no deadline: a picture of a megabyte takes 8 s at 1 Mbit/s."""
TIMEOUT_MAX_S = 60.0

Elsewhere = Callable[[wire.FetchFrameRequest], Awaitable[wire.FetchFrameReply]]

_audit = structlog.get_logger("isthmus.audit")


class Relay:
    """Asks devices for pictures.

    Args:
        sessions: where the devices' streams are found.
        limits: what is taken from a device.
        elsewhere: fetches from devices whose streams other processes of this server have; None where there are none.
    """

    def __init__(self, sessions: Sessions, limits: Limits, elsewhere: Elsewhere | None = None) -> None:
        self._sessions = sessions
        self._limits = limits
        self._elsewhere = elsewhere

    async def fetch(self, request: wire.FetchFrameRequest, *, by: str, remaining_s: float | None) -> wire.FetchFrameReply:
        """Fetch one picture; every attempt leaves a line in the audit log.

        Args:
            request: names device, frame and purpose.
            by: who asks.
            remaining_s: until the operator's call ends; None without a deadline.

        Raises:
            LimitExceeded: a text is too long, the picture is too large, or the device is being asked enough.
            FrameNotHeld: the device has no stream here, or keeps no picture of that frame.
            TailUnavailable: the device did not answer.
            MalformedPayload: what it sent is no picture.
        """
        audit = _audit.bind(
            by=by,
            device=repr(request.device_id[: self._limits.text_bytes]),
            sequence=request.sequence,
            purpose=repr(request.purpose[: self._limits.text_bytes]),
        )
        try:
            self._check_texts(request)
            reply = await self._fetch(request, min(TIMEOUT_S if remaining_s is None else remaining_s, TIMEOUT_MAX_S))
        except IsthmusError as error:
            audit.warning("evidence refused", reason=str(error))
            raise
        audit.info("evidence fetched", size_bytes=len(reply.picture.data))
        return reply

    async def _fetch(self, request: wire.FetchFrameRequest, timeout_s: float) -> wire.FetchFrameReply:
        if self._elsewhere is not None and self._sessions.stream_of(request.device_id, request.session) is None:
            return await self._elsewhere(request)
        return await self.fetch_here(request, timeout_s)

    def _check_texts(self, request: wire.FetchFrameRequest) -> None:
        for field, text in (("device_id", request.device_id), ("purpose", request.purpose)):
            if len(text.encode()) > self._limits.text_bytes:
                raise LimitExceeded(f"{field} has {len(text.encode())} bytes, at most {self._limits.text_bytes} are taken")

    async def fetch_here(self, request: wire.FetchFrameRequest, timeout_s: float = TIMEOUT_S) -> wire.FetchFrameReply:
        """Fetch from a device that has its stream in this process; nothing is audited. Raises as `fetch`."""
        stream = self._sessions.stream_of(request.device_id, request.session)
        if stream is None:
            raise FrameNotHeld(f"device {request.device_id!r} has no such stream on this server")
        evidence = await stream.fetch(request.sequence, timeout_s)
        if not evidence.HasField("picture"):
            said = evidence.message[: self._limits.text_bytes]
            raise FrameNotHeld(f"device {request.device_id!r} holds no picture of frame {request.sequence}: {said}")
        self._check(evidence.picture)
        return wire.FetchFrameReply(picture=evidence.picture, sequence=request.sequence)

    def _check(self, sent: wire.Picture) -> None:
        if len(sent.data) > self._limits.picture_bytes:
            raise LimitExceeded(f"picture of {len(sent.data)} bytes, at most {self._limits.picture_bytes} are taken")
        picture.check_picture(sent.data, sent.format, pixels_max=self._limits.picture_pixels)
