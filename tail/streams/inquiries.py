"""Questions of the server to one device, for the pictures of frames that it may still hold."""

import asyncio
from collections.abc import Callable

from isthmus.contract.generated import split_pb2 as wire
from isthmus.errors import LimitExceeded, RemoteProtocolError, TailUnavailable

OPEN_MAX = 4
"""Questions to one device at a time: each answer may be megabytes over a link that has frames to carry."""


class Inquiries:
    """What a device was asked and has not answered; on the event loop only.

    Args:
        put: sends a message to the device.
    """

    def __init__(self, put: Callable[[wire.FromTail], None]) -> None:
        self._put = put
        self._asked = 0
        self._open: dict[int, asyncio.Future[wire.Evidence]] = {}

    async def ask(self, sequence: int, timeout_s: float) -> wire.Evidence:
        """Ask for the picture of one frame and wait for it.

        Raises:
            LimitExceeded: the device has enough questions to answer.
            TailUnavailable: it did not answer in time, or its stream ended.
        """
        if len(self._open) >= OPEN_MAX:
            raise LimitExceeded(f"{OPEN_MAX} pictures of this device are being fetched already; try again when they are there")
        self._asked += 1
        number = self._asked
        answer: asyncio.Future[wire.Evidence] = asyncio.get_running_loop().create_future()
        self._open[number] = answer
        self._put(wire.FromTail(fetch_evidence=wire.FetchEvidence(request=number, sequence=sequence)))
        try:
            async with asyncio.timeout(timeout_s):
                return await answer
        except TimeoutError as error:
            raise TailUnavailable(f"the device sent no picture within {timeout_s:.3g} s; its link may be slow") from error
        finally:
            self._open.pop(number, None)

    def answered(self, evidence: wire.Evidence) -> None:
        """The device sent something; what comes too late is dropped.

        Raises:
            RemoteProtocolError: it was not asked for.
        """
        if not 1 <= evidence.request <= self._asked:
            raise RemoteProtocolError(f"evidence {evidence.request} was sent, {self._asked} questions were asked on this stream")
        answer = self._open.get(evidence.request)
        if answer is not None and not answer.done():
            answer.set_result(evidence)

    def end(self) -> None:
        """The stream is over: nothing will be answered."""
        for answer in self._open.values():
            if not answer.done():
                answer.set_exception(TailUnavailable("the device's stream ended before the picture came"))
