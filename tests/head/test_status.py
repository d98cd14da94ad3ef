import json
import socket
import urllib.error
import urllib.request

import pytest

from isthmus.errors import ConfigError
from isthmus.head.figures import Figures
from isthmus.head.record import Record
from isthmus.head.status import StatusPage

pytestmark = pytest.mark.usefixtures("no_threads_left")


@pytest.fixture
def page():
    """A function that opens the page; give it what it shall show."""
    opened = []

    def start(**options):
        figures = Figures()
        figures.write(Record(device="porch", session="", sequence=7, name="<b>.png", placement="drop", reason="link"))
        facts = {"link_up": True, "temperature_celsius": 41.5, "source": "camera <0>"}
        settings = {"facts": lambda: facts, "labels": {"device": "porch"}, "lives": lambda: True, "host": "127.0.0.1", "port": 0}
        opened.append(StatusPage(figures, **{**settings, **options}))
        opened[-1].__enter__()
        return opened[-1]

    yield start
    for one in opened:
        one.__exit__()


def get(page, path):
    with urllib.request.urlopen(f"http://{page.address}{path}", timeout=10) as response:
        return response.read().decode()


def test_people_see_facts_and_newest_frames_without_any_markup_of_names(page):
    text = get(page(), "/")
    assert "camera &lt;0&gt;" in text
    assert "&lt;b&gt;.png" in text
    assert "no answer: link" in text


def test_prometheus_sees_facts_that_are_numbers(page):
    lines = get(page(), "/metrics").splitlines()
    assert "isthmus_agent_link_up 1" in lines
    assert "isthmus_agent_temperature_celsius 41.5" in lines
    assert not any("camera" in line for line in lines)


def test_programs_get_json(page):
    facts = json.loads(get(page(), "/status.json?now"))
    assert (facts["device"], facts["dropped"], facts["latest"][0]["sequence"]) == ("porch", {"link": 1}, 7)


def test_health_is_503_when_no_frame_is_processed(page):
    assert get(page(), "/healthz") == "ok\n"
    with pytest.raises(urllib.error.HTTPError, match="503") as caught:
        get(page(lives=lambda: False), "/healthz")
    caught.value.close()


def test_another_path_is_404(page):
    with pytest.raises(urllib.error.HTTPError, match="404") as caught:
        get(page(), "/etc/passwd")
    caught.value.close()


def test_a_port_that_is_taken_is_a_config_error(page):
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        held.listen()
        with pytest.raises(ConfigError, match="cannot listen"):
            page(port=held.getsockname()[1])


def test_a_peer_that_goes_in_the_middle_disturbs_nobody(page):
    shown = page()
    host, port = shown.address.split(":")
    with socket.create_connection((host, int(port))) as peer:
        peer.sendall(b"GET / HT")
    assert get(shown, "/healthz") == "ok\n"
