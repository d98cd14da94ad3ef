import contextlib
import socket
import threading
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from isthmus.devices.link import LinkProfile, parse
from isthmus.devices.shaper import Counters
from isthmus.devices.shaper_thread import ShaperThread, run_in_thread
from isthmus.errors import DeviceError

# Long enough for bytes to pass if the shaper wrongly lets them; nothing asserts that something happens this fast.
SILENCE_S = 0.05


def connect(address: str) -> socket.socket:
    host, port = address.rsplit(":", 1)
    return socket.create_connection((host, int(port)), timeout=30)


def receive(connection: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size and (part := connection.recv(size - len(data))):
        data += part
    return bytes(data)


def exchange(connection: socket.socket, data: bytes) -> bytes:
    """Send in a thread, so that a full link does not stop this one from reading."""
    sender = threading.Thread(target=connection.sendall, args=(data,))
    sender.start()
    answer = receive(connection, len(data))
    sender.join()
    return answer


def assert_silent(connection: socket.socket) -> None:
    connection.settimeout(SILENCE_S)
    with pytest.raises(TimeoutError):
        connection.recv(1)
    connection.settimeout(30)


@pytest.fixture
def shaper(echo):
    with run_in_thread(echo, parse("unlimited")) as running:
        yield running


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    writes=st.lists(st.binary(min_size=1, max_size=70_000), max_size=6), text=st.sampled_from(["unlimited", "200mbit/2ms/1ms"])
)
def test_bytes_pass_unchanged_and_are_counted(echo, writes, text):
    sent = b"".join(writes)
    with run_in_thread(echo, parse(text)) as shaper, connect(shaper.address) as connection:
        for data in writes:
            connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        assert receive(connection, len(sent) + 1) == sent
        assert shaper.counters() == Counters(up_bytes=len(sent), down_bytes=len(sent))


def test_connections_do_not_mix(shaper):
    with contextlib.ExitStack() as stack:
        connections = [stack.enter_context(connect(shaper.address)) for _ in range(8)]
        for number, connection in enumerate(connections):
            connection.sendall(bytes([number]) * 20_000)
        for number, connection in enumerate(connections):
            assert receive(connection, 20_000) == bytes([number]) * 20_000


@pytest.mark.parametrize("text", ["1mbit/0ms", "unlimited/60ms", "2mbit/30ms"])
def test_no_transfer_is_faster_than_the_link(echo, text):
    profile, size = parse(text), 10_000
    with run_in_thread(echo, profile) as shaper, connect(shaper.address) as connection:
        exchange(connection, b"x")
        start_s = time.monotonic()
        exchange(connection, bytes(size))
        spent_s = time.monotonic() - start_s
    assert spent_s >= profile.round_trip_s + (size * 8 / profile.rate_bit_s if profile.rate_bit_s else 0)


def test_a_new_connection_costs_a_round_trip_more(echo):
    with run_in_thread(echo, parse("unlimited/50ms")) as shaper:
        start_s = time.monotonic()
        with connect(shaper.address) as connection:
            exchange(connection, b"x")
        assert time.monotonic() - start_s >= 0.100


def test_a_rate_is_shared_by_all_connections(echo):
    with run_in_thread(echo, parse("2mbit/0ms")) as shaper, connect(shaper.address) as one, connect(shaper.address) as other:
        exchange(one, b"x"), exchange(other, b"x")
        start_s = time.monotonic()
        one.sendall(bytes(10_000))
        other.sendall(bytes(10_000))
        receive(one, 10_000), receive(other, 10_000)
        assert time.monotonic() - start_s >= 20_000 * 8 / 2e6


def test_a_dead_link_holds_bytes_and_gives_them_later(shaper):
    with connect(shaper.address) as connection:
        exchange(connection, b"x")
        shaper.set_up(False)
        connection.sendall(b"held")
        assert_silent(connection)
        assert shaper.counters() == Counters(up_bytes=1, down_bytes=1)
        shaper.set_up(True)
        assert receive(connection, 4) == b"held"


def test_a_dead_link_lets_new_connections_hang(shaper):
    shaper.set_up(False)
    with connect(shaper.address) as connection:
        connection.sendall(b"hello")
        assert_silent(connection)
        shaper.set_up(True)
        assert receive(connection, 5) == b"hello"


def test_the_handshake_of_a_new_connection_waits_for_the_link(echo):
    with run_in_thread(echo, parse("unlimited/40ms")) as shaper:
        shaper.set_up(False)
        with connect(shaper.address) as connection:
            assert_silent(connection)
            start_s = time.monotonic()
            shaper.set_up(True)
            exchange(connection, b"x")
            assert time.monotonic() - start_s >= 0.080


def test_a_dead_link_holds_the_end_of_a_connection_too(shaper):
    with connect(shaper.address) as connection:
        exchange(connection, b"x")
        shaper.set_up(False)
        connection.shutdown(socket.SHUT_WR)
        assert_silent(connection)
        shaper.set_up(True)
        assert connection.recv(1) == b""


def test_an_outage_of_the_profile_ends_by_itself(echo):
    profile = LinkProfile(outages=((0.0, 0.2),))
    start_s = time.monotonic()
    with run_in_thread(echo, profile) as shaper, connect(shaper.address) as connection:
        assert exchange(connection, b"x") == b"x"
    assert time.monotonic() - start_s >= 0.2


def test_a_new_profile_ends_the_outages_of_the_old(echo):
    with run_in_thread(echo, LinkProfile(outages=((0.0, 1e6),))) as shaper, connect(shaper.address) as connection:
        connection.sendall(b"x")
        assert_silent(connection)
        shaper.set_profile(parse("unlimited"))
        assert receive(connection, 1) == b"x"


def test_a_new_profile_holds_for_open_connections(echo):
    with run_in_thread(echo, parse("1kbit/0ms")) as shaper, connect(shaper.address) as connection:
        connection.sendall(bytes(100_000))
        shaper.set_profile(parse("unlimited"))
        assert len(receive(connection, 100_000)) == 100_000
        shaper.set_profile(parse("unlimited/40ms"))
        start_s = time.monotonic()
        exchange(connection, b"x")
        assert time.monotonic() - start_s >= 0.040


def test_a_sender_is_stopped_and_loses_nothing(shaper):
    data = bytes(range(256)) * 80_000
    with connect(shaper.address) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65_536)
        exchange(connection, b"x")
        shaper.set_profile(parse("1mbit/0ms"))
        shaper.set_up(False)
        connection.setblocking(False)
        sent = 0
        with contextlib.suppress(BlockingIOError):
            while True:
                sent += connection.send(data[sent : sent + 65_536])
                # The shaper needs a moment to read; on a slow machine less is sent, and the assertion still holds.
                threading.Event().wait(0.002)
        assert sent < 2_000_000 < len(data)
        connection.setblocking(True)
        shaper.set_profile(parse("unlimited"))
        shaper.set_up(True)
        assert receive(connection, sent) == data[:sent]


def test_a_reader_that_was_slow_gets_everything(echo):
    data = bytes(range(256)) * 40_000
    with run_in_thread(echo, parse("900mbit/0ms")) as shaper, connect(shaper.address) as connection:
        sender = threading.Thread(target=connection.sendall, args=(data,))
        sender.start()
        # Until every buffer on the way is full; on a slow machine fewer are, and the assertion still holds.
        sender.join(0.3)
        assert receive(connection, len(data)) == data
        sender.join()


def test_half_close_is_passed_on_and_the_other_way_stays_open(shaper):
    with connect(shaper.address) as connection:
        connection.sendall(b"last words")
        connection.shutdown(socket.SHUT_WR)
        assert receive(connection, 100) == b"last words"


def test_reset_breaks_connections_and_welcomes_new_ones(shaper):
    with connect(shaper.address) as connection:
        exchange(connection, b"x")
        shaper.reset()
        with pytest.raises(ConnectionResetError):
            connection.recv(1)
    with connect(shaper.address) as connection:
        assert exchange(connection, b"again") == b"again"


def test_a_reset_by_the_client_reaches_the_server():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        target = f"127.0.0.1:{listener.getsockname()[1]}"
        with run_in_thread(target, parse("unlimited/10ms")) as shaper:
            client = connect(shaper.address)
            client.sendall(b"x")
            server, _ = listener.accept()
            with server:
                assert server.recv(1) == b"x"
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                client.close()
                with pytest.raises(ConnectionResetError):
                    server.recv(1)


def test_a_target_that_is_not_there_closes_the_client(nowhere):
    with run_in_thread(nowhere, parse("unlimited")) as shaper:
        # The reset may come before `connect` has returned.
        with pytest.raises(ConnectionResetError), connect(shaper.address) as connection:
            connection.recv(1)
        assert shaper.counters() == Counters(up_bytes=0, down_bytes=0)


def test_stopping_breaks_connections_and_frees_the_port(echo):
    with run_in_thread(echo, parse("1mbit/20ms")) as shaper:
        address = shaper.address
        connection = connect(address)
        connection.sendall(bytes(100_000))
    with connection, pytest.raises(ConnectionResetError):
        receive(connection, 100_000)
    with pytest.raises(ConnectionRefusedError):
        connect(address)


def test_stopping_while_the_link_is_dead_does_not_hang(shaper):
    shaper.set_up(False)
    with connect(shaper.address) as connection:
        connection.sendall(b"x")
        shaper.stop()
        with pytest.raises(ConnectionResetError):
            receive(connection, 1)


def test_a_taken_port_is_a_device_error_and_leaves_no_thread(echo):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(DeviceError, match=address), run_in_thread(echo, parse("unlimited"), listen=address):
            pass
    assert "shaper" not in [thread.name for thread in threading.enumerate()]


def test_a_shaper_that_does_not_run_says_so(echo):
    idle = ShaperThread(echo, parse("unlimited"))
    with pytest.raises(DeviceError, match="not running"):
        idle.counters()
    idle.stop()


def test_a_trace_holds_bytes_while_it_lets_nothing_pass(echo, tmp_path):
    path = tmp_path / "silent.trace"
    path.write_text("0 0\n3600 0\n3601 1\n")
    with run_in_thread(echo, parse(f"trace:{path}/0ms")) as shaper, connect(shaper.address) as connection:
        connection.sendall(b"x")
        assert_silent(connection)
        shaper.set_profile(parse(f"trace:{path}@3600s/0ms"))
        assert receive(connection, 1) == b"x"


def test_a_client_that_is_gone_before_the_target_speaks_is_no_error(caplog):
    """Such a client has reset the connection, which the loop learns by trying to half-close it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        with run_in_thread(address, parse("unlimited/4ms")) as shaper:
            for _ in range(30):
                connect(shaper.address).close()
                served, _ = listener.accept()
                with served:
                    served.sendall(b"welcome")
                    assert served.recv(1) == b""
    assert [record.getMessage() for record in caplog.records if record.name == "asyncio"] == []
