"""Set against measured: how exactly the shaper keeps the time of a link.

    python benchmarks/shaper_accuracy.py [--thread] [--repeats 20]

A client sends N bytes through the shaper, the server answers with N bytes once it has them all. Set is the round trip
plus the bits of both ways over the rate; `spent` is what the measuring itself costs, the same exchange without a shaper.
"""

import argparse
import contextlib
import os
import platform
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

from isthmus.devices import link
from isthmus.devices.shaper_thread import run_in_thread

ROUND_TRIPS_MS = (0, 20, 40)
RATES_MBIT = (1, 5, 20)
SIZES_BYTES = (5_000, 20_000)


def serve_echoes(listener: socket.socket, size_bytes: int) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        with connection, contextlib.suppress(OSError):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while data := receive(connection, size_bytes):
                connection.sendall(data)


def receive(connection: socket.socket, size_bytes: int) -> bytes:
    data = bytearray()
    while len(data) < size_bytes:
        part = connection.recv(size_bytes - len(data))
        if not part:
            return b""
        data += part
    return bytes(data)


@contextlib.contextmanager
def echo_server(size_bytes: int) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve_echoes, args=(listener, size_bytes), daemon=True).start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def shaper_command(target: str, profile: link.LinkProfile) -> Iterator[str]:
    command = [sys.executable, "-m", "isthmus.devices.shaper", target, "--link", str(profile)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().split()[1]
        process.terminate()
        process.communicate()


@contextlib.contextmanager
def shaper_in_thread(target: str, profile: link.LinkProfile) -> Iterator[str]:
    with run_in_thread(target, profile) as shaper:
        yield shaper.address


def measure_ms(address: str, size_bytes: int, repeats: int) -> list[float]:
    host, port = address.rsplit(":", 1)
    message = os.urandom(size_bytes)
    times_ms = []
    with socket.create_connection((host, int(port))) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(repeats + 1):
            start_s = time.perf_counter()
            connection.sendall(message)
            if receive(connection, size_bytes) != message:
                raise SystemExit("the bytes that came back are not those that were sent")
            times_ms.append((time.perf_counter() - start_s) * 1e3)
    # The first exchange waits for the handshake.
    return sorted(times_ms[1:])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--thread", action="store_true", help="shape in a thread of this process, not by the command")
    parser.add_argument("--repeats", type=int, default=20)
    options = parser.parse_args()
    open_shaper = shaper_in_thread if options.thread else shaper_command
    print(f"{platform.platform()}, {os.cpu_count()} cores, shaper in a {'thread' if options.thread else 'process'}")
    print("link             bytes   set ms  median ms   p95 ms  error ms  error %  spent ms")
    misses = 0
    for size_bytes in SIZES_BYTES:
        with echo_server(size_bytes) as target:
            spent_ms = statistics.median(measure_ms(target, size_bytes, options.repeats))
            for round_trip_ms in ROUND_TRIPS_MS:
                for rate_mbit in RATES_MBIT:
                    profile = link.parse(f"{rate_mbit}mbit/{round_trip_ms}ms")
                    set_ms = round_trip_ms + 2 * size_bytes * 8 / (rate_mbit * 1e3)
                    with open_shaper(target, profile) as address:
                        times_ms = measure_ms(address, size_bytes, options.repeats)
                    median_ms = statistics.median(times_ms)
                    p95_ms = times_ms[int(0.95 * (len(times_ms) - 1))]
                    error_ms = median_ms - set_ms
                    misses += error_ms > max(1.0, 0.03 * set_ms)
                    print(
                        f"{profile!s:15} {size_bytes:6} {set_ms:8.2f} {median_ms:10.2f} {p95_ms:8.2f}"
                        f" {error_ms:9.2f} {100 * error_ms / set_ms:8.2f} {spent_ms:9.2f}"
                    )
    print(f"{misses} medians beyond 1 ms and 3%")
    return 1 if misses else 0


if __name__ == "__main__":
    sys.exit(main())
