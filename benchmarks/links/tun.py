"""A link between two network namespaces, made of two TUN devices: the kernel's own TCP over delay, loss, rate and outages.

    python -m benchmarks.links.tun NAME ROUND_TRIP_MS

makes the namespaces NAME-device (10.99.N.1) and NAME-server (10.99.N.2), N being the number at the end of the name, and prints
`ready`. Lines on standard input change the link: `up`, `down`, `loss 0.05`, `rate 1000000` (bits a second each way, 0: no
limit). The end of the input removes everything. Needs root.
"""

import contextlib
import fcntl
import os
import random
import re
import select
import struct
import subprocess
import sys
import time
from collections import deque

TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
MTU = 1500
QUEUE_BYTES = 64 * 1024
"""What waits for a slow rate before packets are dropped: a home router's order of size."""


def addresses(name: str) -> tuple[str, str]:
    """Of device and server."""
    number = int(re.search(r"\d+$", name)[0])
    return f"10.99.{number}.1", f"10.99.{number}.2"


def run(*command: str) -> None:
    subprocess.run(["ip", *command], check=True, capture_output=True)


def open_end(namespace: str, interface: str, address: str) -> int:
    """A namespace with one interface, whose packets this process has."""
    with contextlib.suppress(subprocess.CalledProcessError):
        run("netns", "del", namespace)
    run("netns", "add", namespace)
    descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(descriptor, TUNSETIFF, struct.pack("16sH22x", interface.encode(), IFF_TUN | IFF_NO_PI))
    run("link", "set", interface, "netns", namespace)
    run("-n", namespace, "addr", "add", f"{address}/24", "dev", interface)
    run("-n", namespace, "link", "set", interface, "mtu", str(MTU), "up")
    run("-n", namespace, "link", "set", "lo", "up")
    return descriptor


class Direction:
    """Packets on their way from one end to the other."""

    def __init__(self, source: int, sink: int, delay_s: float) -> None:
        self.source = source
        self._sink = sink
        self._delay_s = delay_s
        self._travelling: deque[tuple[float, bytes]] = deque()
        self._free_at = 0.0
        self.loss, self.rate_bit_s, self.is_up = 0.0, 0.0, True

    @property
    def next_at(self) -> float:
        """When a packet arrives."""
        return self._travelling[0][0] if self._travelling else float("inf")

    def take(self, now: float) -> None:
        """Read what was sent; what is lost is gone."""
        with contextlib.suppress(BlockingIOError):
            while True:
                packet = os.read(self.source, 65536)
                sent_at = self._sent_at(now, len(packet))
                if self.is_up and sent_at is not None and random.random() >= self.loss:
                    self._travelling.append((sent_at + self._delay_s, packet))

    def deliver(self, now: float) -> None:
        """Hand over what has arrived; on a dead link nothing does."""
        while self._travelling and self._travelling[0][0] <= now:
            _, packet = self._travelling.popleft()
            if self.is_up:
                with contextlib.suppress(OSError):
                    os.write(self._sink, packet)

    def _sent_at(self, now: float, size: int) -> float | None:
        if not self.rate_bit_s:
            return now
        begin = max(now, self._free_at)
        if (begin - now) * self.rate_bit_s / 8 > QUEUE_BYTES:
            return None
        self._free_at = begin + size * 8 / self.rate_bit_s
        return self._free_at


def obey(line: str, directions: list[Direction]) -> None:
    word, _, value = line.partition(" ")
    for direction in directions:
        if word in ("up", "down"):
            direction.is_up = word == "up"
        elif word == "loss":
            direction.loss = float(value)
        elif word == "rate":
            direction.rate_bit_s = float(value)


def main(name: str, round_trip_ms: float) -> None:
    """Carry packets until standard input ends."""
    ends = []
    try:
        for side, address in zip(("device", "server"), addresses(name), strict=True):
            ends.append(open_end(f"{name}-{side}", f"{name}-{side[0]}", address))
        delay_s = round_trip_ms / 2000
        directions = [Direction(ends[0], ends[1], delay_s), Direction(ends[1], ends[0], delay_s)]
        print("ready", flush=True)
        while True:
            wait_s = max(0.0, min(direction.next_at for direction in directions) - time.monotonic())
            ready, _, _ = select.select([*ends, 0], [], [], min(wait_s, 1.0))
            now = time.monotonic()
            if 0 in ready:
                line = sys.stdin.readline()
                if not line:
                    return
                obey(line.strip(), directions)
            for direction in directions:
                if direction.source in ready:
                    direction.take(now)
                direction.deliver(time.monotonic())
    finally:
        for side in ("device", "server"):
            with contextlib.suppress(subprocess.CalledProcessError):
                run("netns", "del", f"{name}-{side}")


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
