import socket

import pytest

from isthmus.errors import DeviceError
from isthmus.tail.fronts.reservation import reserve


def sharing(port):
    member = socket.socket()
    member.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    member.bind(("127.0.0.1", port))
    member.listen()
    return member


def test_members_share_the_port_and_nobody_else_gets_it():
    with reserve("127.0.0.1", 0) as held:
        port = held.getsockname()[1]
        with sharing(port), sharing(port), socket.socket() as stranger, pytest.raises(OSError, match="Address already in use"):
            stranger.bind(("127.0.0.1", port))


def test_a_second_server_is_refused_though_it_could_share():
    with reserve("127.0.0.1", 0) as held:
        port = held.getsockname()[1]
        with pytest.raises(DeviceError, match=f"cannot listen on 127.0.0.1:{port}: .*name another port with --grpc-port"):
            reserve("127.0.0.1", port)


def test_an_address_of_another_machine_is_told():
    with pytest.raises(DeviceError, match=r"cannot listen on 192.0.2.1:0"):
        reserve("192.0.2.1", 0)
