import base64
import threading

import pytest

from isthmus.errors import SourceError
from isthmus.head.source import open_source
from isthmus.head.sources.web import WebSource, without_password

MULTIPART = "HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=frame\r\n\r\n"


@pytest.fixture
def heads():
    """Request heads that the camera got."""
    return []


@pytest.fixture
def web_camera(camera, make_jpeg, heads):
    """A function that starts an HTTP server which answers with `start` and then so many pictures."""

    def run(frames=5, start=MULTIPART, then=lambda: None):
        def handle(connection, reader):
            heads.append(b"".join(iter(reader.readline, b"\r\n")).decode())
            connection.sendall(start.encode())
            for number in range(frames):
                picture = make_jpeg(20 * number)
                head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(picture)}\r\n\r\n"
                connection.sendall(head.encode() + picture + b"\r\n")
            then()

        return f"http://127.0.0.1:{camera(handle).port}/stream.mjpg"

    return run


def test_every_part_of_the_stream_is_a_frame(web_camera):
    with WebSource(web_camera()) as source:
        frames = [source.read() for _ in range(5)]
        with pytest.raises(SourceError, match="ended after 5 frames"):
            source.read()
    assert [round(frame.image.mean() / 20) for frame in frames] == [0, 1, 2, 3, 4]
    assert [frame.sequence for frame in frames] == [0, 1, 2, 3, 4]


def test_a_camera_that_hangs_up_is_called_again(web_camera):
    with open_source(web_camera(frames=2)) as source:
        assert [source.read().sequence for _ in range(5)] == list(range(5))
        assert source.reconnects == 2


def test_a_stalled_stream_is_given_up(web_camera):
    gone = threading.Event()
    with WebSource(web_camera(frames=1, then=lambda: gone.wait(20)), stall_s=0.1) as source:
        source.read()
        with pytest.raises(SourceError, match=r"gave nothing for 0\.1 s"):
            source.read()
    gone.set()


def test_the_password_goes_to_the_camera_that_asks_for_it(camera, make_jpeg, heads):
    def handle(connection, reader):
        heads.append(b"".join(iter(reader.readline, b"\r\n")).decode())
        if "Authorization" in heads[-1]:
            connection.sendall(MULTIPART.encode() + make_jpeg(100))
        else:
            connection.sendall(b'HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm="cam"\r\nContent-Length: 0\r\n\r\n')

    with WebSource(f"http://admin:s%40cret@127.0.0.1:{camera(handle).port}/") as source:
        assert source.read().image.shape == (48, 64, 3)
        assert "cret" not in source.description
    assert f"Basic {base64.b64encode(b'admin:s@cret').decode()}" in heads[-1]


@pytest.mark.parametrize(
    ("start", "message"),
    [
        ("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "answers 404 Not Found"),
        ("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n", "sends text/html"),
        ("nonsense\r\n\r\n", "cannot be opened"),
        ("", "cannot be opened"),
    ],
)
def test_what_is_no_stream_is_a_source_error_of_one_line(web_camera, start, message):
    with pytest.raises(SourceError, match=message) as caught:
        WebSource(web_camera(frames=0, start=start))
    assert "\n" not in str(caught.value)


def test_an_interrupted_stream_ends(web_camera):
    with WebSource(web_camera()) as source:
        source.read()
        source.interrupt()
        while source.read() is not None:
            pass


@pytest.mark.parametrize("address", ["http://host/a", "http://host:8/@x", "rtsp://[::1]:554/s"])
def test_an_address_without_a_password_is_shown_as_it_is(address):
    assert without_password(address) == address
