"""Messages on their way to one device, and the window that bounds what it may send.

The window opens when an answer leaves, not when it is ready: a device that does not read gets no further credit.
"""

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar

from isthmus.tail.admission.client import Client

Item = TypeVar("Item")


class Outgoing(ABC, Generic[Item]):
    """Messages of one stream, in the order in which they became ready; who derives from it knows what they say.

    Args:
        window: messages of the device that may be unanswered.
        client: whose stream it is; gives the credits.
    """

    def __init__(self, *, window: int, client: Client) -> None:
        self._window = window
        self._client = client
        self._messages: deque[Item] = deque()
        self._wake = asyncio.Event()
        self._last = False
        self._told = 0
        self.allowed = 0
        """Messages that the device may have sent in all."""

    def begin(self) -> int:
        """Ask for the first credits; returns how many there are at once: a window, or what the client may send now."""
        for _ in range(self._window):
            self._client.ask(self)
        self._told = self.allowed
        return self.allowed

    def credit(self) -> None:
        """The device may send one more message."""
        self.allowed += 1
        self._wake.set()

    def put(self, message: Item) -> None:
        """Send a message."""
        self._messages.append(message)
        self._wake.set()

    def finish(self) -> None:
        """Nothing more will be asked: `write_all` returns once all is answered and sent."""
        self._last = True
        self._wake.set()

    async def write_all(self, write: Callable[[Any], Awaitable[None]]) -> None:
        """Send what is put here, until `finish` was called and everything is answered."""
        while True:
            while self._messages:
                await write(self._complete(self._messages.popleft()))
            if self._last and not self._is_waiting():
                return
            if self.allowed > self._told:
                self._told = self.allowed
                await write(self._credit_message())
                continue
            self._wake.clear()
            await self._wake.wait()

    def _is_waiting(self) -> bool:
        """Whether answers are still to come after `finish`."""
        return False

    @abstractmethod
    def _complete(self, item: Item) -> Any:  # noqa: ANN401
        """The message as it leaves: with its credit where it is an answer."""

    @abstractmethod
    def _credit_message(self) -> Any:  # noqa: ANN401
        """A credit by itself."""
