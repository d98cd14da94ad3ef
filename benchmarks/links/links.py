"""The two links whose outages are timed; each says how programs are started at its ends."""

import random
import subprocess
import sys
import threading
import time

from benchmarks.links.tun import addresses

from isthmus.devices.link import LinkProfile
from isthmus.devices.shaper_thread import ShaperThread
from isthmus.errors import DeviceError

FPS = 20
"""Frames a second: so often a packet of the device may be lost."""


class Shaped:
    """The userspace link before a server on loopback."""

    name = "shaper"

    def __init__(self, number: int, round_trip_s: float) -> None:
        self.host = "127.0.0.1"
        self.device: list[str] = []
        self.server: list[str] = []
        self._round_trip_s = round_trip_s
        self._shaper: ShaperThread | None = None
        self._lossy = threading.Event()
        self._stalls: threading.Thread | None = None

    def before(self, target: str) -> str:
        """Where the device connects to."""
        self._shaper = ShaperThread(target, LinkProfile(round_trip_s=self._round_trip_s))
        self._shaper.start()
        return self._shaper.address

    def set_up(self, is_up: bool) -> None:
        """Let the link go or come."""
        self._shaper.set_up(is_up)

    def set_loss(self, share: float) -> None:
        """Stall as TCP does when it repeats what was lost."""
        self._lossy.clear()
        if self._stalls is not None:
            self._stalls.join()
            self._stalls = None
        if share:
            self._lossy.set()
            self._stalls = threading.Thread(target=self._stall, args=(share,), daemon=True)
            self._stalls.start()

    def _stall(self, share: float) -> None:
        while self._lossy.is_set():
            time.sleep(1 / FPS)
            if random.random() < share:
                stall_s = 0.2 + self._round_trip_s
                while random.random() < share:
                    stall_s *= 2
                self._shaper.set_up(False)
                time.sleep(stall_s)
                self._shaper.set_up(True)

    def close(self) -> None:
        """Remove the link."""
        self.set_loss(0)
        if self._shaper is not None:
            self._shaper.stop()


class Tunnelled:
    """The kernel's TCP between two namespaces."""

    name = "tun"

    def __init__(self, number: int, round_trip_s: float) -> None:
        name = f"isth{number}"
        self.host = addresses(name)[1]
        self.device, self.server = (["ip", "netns", "exec", f"{name}-{side}"] for side in ("device", "server"))
        command = [sys.executable, "-m", "benchmarks.links.tun", name, str(round_trip_s * 1000)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if self._process.stdout.readline().strip() != "ready":
            raise DeviceError("the link between two namespaces cannot be made; it needs root and /dev/net/tun")

    def before(self, target: str) -> str:
        """Where the device connects to."""
        return target

    def set_up(self, is_up: bool) -> None:
        """Let the link go or come."""
        self._tell("up" if is_up else "down")

    def set_loss(self, share: float) -> None:
        """Lose packets each way."""
        self._tell(f"loss {share}")

    def _tell(self, line: str) -> None:
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()

    def close(self) -> None:
        """Remove the link."""
        self._process.stdin.close()
        self._process.wait()


LINKS = {kind.name: kind for kind in (Shaped, Tunnelled)}
