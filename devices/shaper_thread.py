"""The shaper in a thread of its own, for callers without an asyncio loop."""

import asyncio
import threading
from collections.abc import Callable
from typing import Self, TypeVar

from isthmus.devices import timer
from isthmus.devices.link import LinkProfile
from isthmus.devices.shaper import ANY_LOOPBACK_PORT, Counters, Shaper
from isthmus.errors import DeviceError

Result = TypeVar("Result")


class ShaperThread:
    """A `Shaper` whose methods block and may be called from any thread; used with `with`.

    The thread waits for Python's interpreter lock: while this process computes, bytes are late. Measurements run the command.
    """

    def __init__(self, target: str, profile: LinkProfile, *, listen: str = ANY_LOOPBACK_PORT, seed: int | None = None) -> None:
        """See `Shaper`."""
        self._shaper = Shaper(target, profile, listen=listen, seed=seed)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread

    def start(self) -> None:
        """Begin to accept connections; errors as for `Shaper.start`."""
        self._loop = timer.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="shaper", daemon=True)
        self._thread.start()
        try:
            asyncio.run_coroutine_threadsafe(self._shaper.start(), self._loop).result()
        except BaseException:
            self._end_loop(self._loop)
            raise

    def stop(self) -> None:
        """Abort every connection and end the thread."""
        if self._loop is None:
            return
        asyncio.run_coroutine_threadsafe(self._shaper.stop(), self._loop).result()
        self._end_loop(self._loop)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    @property
    def address(self) -> str:
        """`host:port` that clients connect to."""
        return self._call(lambda: self._shaper.address)

    def counters(self) -> Counters:
        """See `Shaper.counters`."""
        return self._call(self._shaper.counters)

    def set_profile(self, profile: LinkProfile) -> None:
        """See `Shaper.set_profile`; done when this returns."""
        self._call(lambda: self._shaper.set_profile(profile))

    def set_up(self, is_up: bool) -> None:
        """See `Shaper.set_up`; done when this returns."""
        self._call(lambda: self._shaper.set_up(is_up))

    def reset(self) -> None:
        """See `Shaper.reset`; done when this returns."""
        self._call(self._shaper.reset)

    def _call(self, function: Callable[[], Result]) -> Result:
        if self._loop is None:
            raise DeviceError("the shaper is not running; start it first, or use it with `with`")

        async def call() -> Result:
            return function()

        return asyncio.run_coroutine_threadsafe(call(), self._loop).result()

    def _end_loop(self, loop: asyncio.AbstractEventLoop) -> None:
        loop.call_soon_threadsafe(loop.stop)
        self._thread.join()
        loop.close()
        self._loop = None


def run_in_thread(target: str, profile: LinkProfile, *, listen: str = ANY_LOOPBACK_PORT, seed: int | None = None) -> ShaperThread:
    """Make a shaper to be used with `with`; its thread starts on entering."""
    return ShaperThread(target, profile, listen=listen, seed=seed)
