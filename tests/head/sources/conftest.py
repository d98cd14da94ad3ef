"""Cameras of the network on loopback: MJPEG over HTTP, and RTSP with RTP/JPEG (RFC 2435) inside of its connection."""

import contextlib
import itertools
import socket
import socketserver
import struct
import threading
from collections.abc import Callable, Iterator
from typing import Any

import cv2
import numpy as np
import pytest


def jpeg(level: int, *, width: int = 64, height: int = 48) -> bytes:
    """A grey picture as JPEG."""
    return bytes(cv2.imencode(".jpg", np.full((height, width, 3), level, np.uint8))[1])


@pytest.fixture
def make_jpeg() -> Callable[..., bytes]:
    """The function above."""
    return jpeg


class _Camera(socketserver.ThreadingTCPServer):
    """Serves each connection in a thread; `handle` gets socket and reader."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, port: int, handle: Callable[[socket.socket, Any], None]) -> None:
        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                # The reader of a camera goes when it likes.
                with contextlib.suppress(OSError):
                    handle(self.connection, self.rfile)

        super().__init__(("127.0.0.1", port), Handler)
        self.port = self.server_address[1]
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        self.shutdown()
        self.server_close()


@pytest.fixture
def camera() -> Iterator[Callable[..., _Camera]]:
    """A function that starts a TCP server whose connections a function handles; `port` takes a certain port."""
    with contextlib.ExitStack() as stack:

        def start(handle: Callable[[socket.socket, Any], None], port: int = 0) -> _Camera:
            made = _Camera(port, handle)
            stack.callback(made.stop)
            return made

        yield start


def _read_head(reader: Any) -> tuple[str, dict[str, str]]:
    """Request line and headers, alike in HTTP and RTSP."""
    lines = [line.decode().strip() for line in iter(reader.readline, b"\r\n") if line]
    headers = dict(line.split(": ", 1) for line in lines[1:])
    return (lines[0] if lines else ""), headers


def rtsp_session(connection: socket.socket, reader: Any, *, frames: int) -> None:
    """Answer one RTSP client, and send it so many pictures when it says PLAY."""
    while request := _read_head(reader):
        line, headers = request
        if not line:
            return
        method, address, _ = line.split()
        body, extra = "", ""
        if method == "DESCRIBE":
            body = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=test\r\nt=0 0\r\nm=video 0 RTP/AVP 26\r\na=control:track0\r\n"
            extra = f"Content-Base: {address}/\r\nContent-Type: application/sdp\r\nContent-Length: {len(body)}\r\n"
        elif method == "SETUP":
            extra = "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\nSession: 1\r\n"
        elif method == "OPTIONS":
            extra = "Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN\r\n"
        status = "461 Unsupported Transport" if method == "SETUP" and "TCP" not in headers["Transport"] else "200 OK"
        connection.sendall(f"RTSP/1.0 {status}\r\nCSeq: {headers['CSeq']}\r\n{extra}\r\n{body}".encode())
        if method == "PLAY":
            numbers = itertools.count()
            for frame in range(frames):
                for packet in rtp_packets(jpeg(20 * (frame % 12)), 9000 * frame, numbers):
                    connection.sendall(b"$\0" + struct.pack(">H", len(packet)) + packet)
            return


def rtp_packets(picture: bytes, timestamp: int, numbers: Iterator[int]) -> Iterator[bytes]:
    """RTP packets of a baseline JPEG with 4:2:0 chroma; Q 255 says that its own quantisation tables come along."""
    tables = b"".join(_segments(picture, 0xDB))
    tables = b"".join(tables[at + 1 : at + 65] for at in range(0, len(tables), 65))
    start = picture.index(b"\xff\xda")
    scan = picture[start + 2 + int.from_bytes(picture[start + 2 : start + 4], "big") : -2]
    (frame_header,) = _segments(picture, 0xC0)
    height, width = struct.unpack(">HH", frame_header[1:5])
    for offset in range(0, len(scan), 1000):
        part = scan[offset : offset + 1000]
        last = offset + len(part) == len(scan)
        rtp = struct.pack(">BBHII", 0x80, 26 | last << 7, next(numbers) & 0xFFFF, timestamp, 1)
        header = struct.pack(">I", offset) + bytes([1, 255, width // 8, height // 8])
        quantisation = struct.pack(">BBH", 0, 0, len(tables)) + tables if offset == 0 else b""
        yield rtp + header + quantisation + part


def _segments(picture: bytes, marker: int) -> Iterator[bytes]:
    position = 2
    while picture[position + 1] != 0xDA:
        length = int.from_bytes(picture[position + 2 : position + 4], "big")
        if picture[position + 1] == marker:
            yield picture[position + 4 : position + 2 + length]
        position += 2 + length


@pytest.fixture
def rtsp_camera(camera: Callable[..., _Camera]) -> Callable[..., _Camera]:
    """A function that starts an RTSP server which sends `frames` pictures to each client and then hangs up."""
    return lambda frames, port=0: camera(lambda connection, reader: rtsp_session(connection, reader, frames=frames), port)
