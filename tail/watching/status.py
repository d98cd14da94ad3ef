"""HTTP in the event loop of the server, on the metrics port."""

import socket

from isthmus.errors import DeviceError
from isthmus.tail.security.listener import Listener
from isthmus.tail.security.porter import Application
from isthmus.tail.security.security import Security


class StatusServer:
    """Serves the pages in the running event loop, to those who may see them, over TLS where the server has it.

    Args:
        pages: what is served.
        security: of the server.
        host: address to listen on.
        port: 0 takes a free one.
    """

    def __init__(self, pages: Application, security: Security, *, host: str, port: int) -> None:
        self._pages = security.before(pages)
        self._certificates = security.certificates
        self._host = host
        self._wanted_port = port
        self.port = 0

    async def start(self) -> None:
        """Listen.

        Raises:
            DeviceError: the port is taken or the address is not of this machine.
        """
        bound = _bind(self._host, self._wanted_port)
        self.port = bound.getsockname()[1]
        self._listener = Listener(self._pages, bound, self._certificates)
        self._listener.start()

    async def stop(self) -> None:
        """Stop listening and end what is open."""
        await self._listener.stop()


def _bind(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _name, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        bound = socket.socket(family, kind, protocol)
    except OSError as error:
        raise DeviceError(f"cannot listen on {host}:{port}: {error.strerror or error}") from error
    try:
        # Linux: a port in TIME_WAIT may be taken again, one that listens may not.
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except OSError as error:
        bound.close()
        raise DeviceError(
            f"cannot listen for metrics on {host}:{port}: {error.strerror}; name another port with --metrics-port"
        ) from error
    return bound
