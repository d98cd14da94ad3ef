import contextlib
import os
import socket
import threading

import pytest
from structlog.testing import capture_logs

from isthmus.devices.systemd import Notifier, Watchdog


@pytest.fixture(params=["path", "abstract"])
def manager(request, tmp_path):
    """systemd's end: a datagram socket, and the address of it as systemd writes it."""
    name = f"@isthmus-test-{os.getpid()}" if request.param == "abstract" else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(name.replace("@", "\0"))
        receiver.settimeout(10)
        yield receiver, {"NOTIFY_SOCKET": name}


def test_every_notification_arrives_as_its_line(manager):
    receiver, environment = manager
    notifier = Notifier(environment)
    notifier.ready()
    notifier.status("answers\nframes")
    notifier.alive()
    notifier.stopping()
    assert [receiver.recv(100).decode() for _ in range(4)] == ["READY=1", "STATUS=answers frames", "WATCHDOG=1", "STOPPING=1"]


def test_the_watchdog_is_put_off_while_the_service_lives_and_no_longer(manager):
    receiver, environment = manager
    lives, asked_when_dead = [True], threading.Semaphore(0)

    def ask():
        if not lives[0]:
            asked_when_dead.release()
        return lives[0]

    with Watchdog(Notifier({**environment, "WATCHDOG_USEC": "20000", "WATCHDOG_PID": str(os.getpid())}), ask):
        assert [receiver.recv(100) for _ in range(3)] == [b"WATCHDOG=1"] * 3
        lives[0] = False
        assert asked_when_dead.acquire(timeout=10)
        receiver.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while receiver.recv(100):
                pass
        assert all(asked_when_dead.acquire(timeout=10) for _ in range(3))
    with pytest.raises(BlockingIOError):
        receiver.recv(100)


@pytest.mark.parametrize(
    "environment", [{}, {"WATCHDOG_USEC": "0"}, {"WATCHDOG_USEC": "x"}, {"WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1"}]
)
def test_without_a_watchdog_for_this_process_nobody_watches(environment):
    notifier = Notifier(environment)
    assert notifier.watchdog_s is None
    with Watchdog(notifier, lambda: pytest.fail("asked")):
        pass


def test_without_systemd_nothing_is_sent():
    Notifier({}).ready()


def test_a_socket_that_is_gone_is_logged_and_no_error(tmp_path):
    with capture_logs() as logs:
        Notifier({"NOTIFY_SOCKET": str(tmp_path / "gone")}).ready()
    assert [entry["event"] for entry in logs] == ["systemd cannot be told"]
