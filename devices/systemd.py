"""What a service tells systemd: that it is ready, what it does, that it lives, that it ends (sd_notify(3)).

A datagram to the socket in NOTIFY_SOCKET; without it, as on a terminal, nothing is sent.
"""

import os
import socket
import threading
from collections.abc import Callable, Mapping
from typing import Self

import structlog

_log = structlog.get_logger()


class Notifier:
    """Sends notifications.

    Args:
        environment: where NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID are.
    """

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        address = environment.get("NOTIFY_SOCKET", "")
        # A leading @ stands for the zero byte of the abstract namespace (unix(7)).
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        pid = environment.get("WATCHDOG_PID")
        usec = environment.get("WATCHDOG_USEC", "")
        meant = pid is None or pid == str(os.getpid())
        self.watchdog_s = int(usec) / 1e6 if meant and usec.isdecimal() and int(usec) else None
        """So long without `alive` and systemd ends the service; None: it does not watch."""

    def ready(self) -> None:
        """The service does its work now."""
        self._send("READY=1")

    def status(self, words: str) -> None:
        """What `systemctl status` shows."""
        self._send(f"STATUS={' '.join(words.split())}")

    def alive(self) -> None:
        """Put the watchdog off."""
        self._send("WATCHDOG=1")

    def stopping(self) -> None:
        """The service ends by itself."""
        self._send("STOPPING=1")

    def _send(self, message: str) -> None:
        if not self._address:
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            try:
                sender.sendto(message.encode(), self._address)
            except OSError as error:
                # A service that works is worth more than its notification.
                _log.warning("systemd cannot be told", message=message, reason=str(error))


class Watchdog:
    """Tells systemd that the service lives, as long as it does; used with `with`. Without a watchdog it does nothing.

    Args:
        notifier: whom to tell.
        lives: asked twice in each period of the watchdog.
    """

    def __init__(self, notifier: Notifier, lives: Callable[[], bool]) -> None:
        self._notifier = notifier
        self._lives = lives
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="isthmus-watchdog", daemon=True)

    def __enter__(self) -> Self:
        if self._notifier.watchdog_s is not None:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _watch(self) -> None:
        assert self._notifier.watchdog_s is not None
        while True:
            if self._lives():
                self._notifier.alive()
            # Half the period, as sd_watchdog_enabled(3) recommends.
            if self._ended.wait(self._notifier.watchdog_s / 2):
                return
