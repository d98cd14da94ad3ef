"""A program that answers over a bare TCP socket, with or without TLS: what any protocol adds to is measured against this.

    python benchmarks/server/echo.py [--tls-cert FILE --tls-key FILE]

A request is its length and the answer's length (u32 each, little-endian) and so many bytes; the answer is as long as was asked.
Blocking sockets and one thread for each connection: nothing in Python is faster.
"""

import argparse
import socket
import ssl
import struct
import threading
from pathlib import Path

HEAD = struct.Struct("<II")
_ANSWER = bytes(1 << 16)


def receive(connection: socket.socket, view: memoryview) -> bool:
    """Fill `view`; False when the other end has closed."""
    while len(view):
        count = connection.recv_into(view)
        if not count:
            return False
        view = view[count:]
    return True


def serve(connection: socket.socket) -> None:
    """Answer one connection until it closes."""
    head = memoryview(bytearray(HEAD.size))
    room = memoryview(bytearray(1 << 22))
    with connection:
        while receive(connection, head):
            size, wanted = HEAD.unpack(head)
            receive(connection, room[:size])
            connection.sendall(_ANSWER[:wanted])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tls-cert", type=Path)
    parser.add_argument("--tls-key", type=Path)
    options = parser.parse_args()
    context = None
    if options.tls_cert:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(options.tls_cert, options.tls_key)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        print(f"ready 127.0.0.1:{listening.getsockname()[1]}", flush=True)
        while True:
            connection, _ = listening.accept()
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if context:
                connection = context.wrap_socket(connection, server_side=True)
            threading.Thread(target=serve, args=(connection,), daemon=True).start()


if __name__ == "__main__":
    main()
