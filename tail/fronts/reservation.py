"""A port that several processes of one server will share, held from before the first of them listens."""

import socket

from isthmus.errors import DeviceError


def reserve(host: str, port: int) -> socket.socket:
    """Take a port for this server and whoever it starts.

    The socket is bound and does not listen, so it gets no connections; while it is open, no other user of the machine can take
    the port. Sharing a port is open to every process of the same user, so first it is tried without sharing: a second server must
    not take half of the devices, silently.

    Args:
        host: address to listen on.
        port: 0 takes a free one.

    Returns:
        The bound socket; its port is `getsockname()[1]`.

    Raises:
        DeviceError: the port is taken or the address is not of this machine.
    """
    try:
        family, kind, protocol, _name, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as alone:
            alone.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            alone.bind(address)
            taken = alone.getsockname()
        shared = socket.socket(family, kind, protocol)
        shared.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        shared.bind(taken)
    except OSError as error:
        raise DeviceError(
            f"cannot listen on {host}:{port}: {error.strerror or error}; name another port with --grpc-port"
        ) from error
    return shared
