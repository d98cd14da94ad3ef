import asyncio
import json
import urllib.error
import urllib.request

import pytest

from isthmus.contract.generated import split_pb2 as wire
from isthmus.tail.watching.pages import POLICY

HOSTILE = '<img src=x onerror="document.title=1"></script>\n\x1b[31m'


async def fetch(server, path):
    """Status, headers and text of a page."""

    def get():
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{server.metrics_port}{path}", timeout=10) as reply:
                return reply.status, reply.headers, reply.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.headers, error.read().decode()

    return await asyncio.to_thread(get)


@pytest.fixture
async def server(serve):
    return await serve(metrics_port=0)


@pytest.mark.parametrize(("path", "status", "text"), [("/health/live", 200, "live\n"), ("/health/ready", 200, "ready\n")])
async def test_health_answers(server, path, status, text):
    got, _, body = await fetch(server, path)
    assert (got, body) == (status, text)


async def test_what_is_not_there_is_not_found(server):
    assert (await fetch(server, "/nothing"))[0] == 404


async def test_the_page_comes_whole_and_with_its_policy(server):
    status, headers, page = await fetch(server, "/")
    assert status == 200
    assert page.endswith("</html>\n")
    assert headers["content-security-policy"] == POLICY
    assert "default-src 'none'" in POLICY
    assert "unsafe" not in POLICY


async def test_the_page_names_nothing_from_elsewhere(server):
    _, _, page = await fetch(server, "/")
    assert [part for part in page.split('"') if "://" in part and "www.w3.org" not in part] == []


async def test_the_snapshot_tells_what_is_served_and_who_is_there(server, connect, payload, tiny_bundle):
    device = connect(server)
    await device.open(device_id=HOSTILE)
    await device.ask(1, codes=payload)
    await device.ask(2, codes=b"wrong")
    status, _, text = await fetch(server, "/status.json")
    told = json.loads(text)
    assert status == 200
    [bundle] = told["bundles"]
    assert (bundle["name"], bundle["version"], bundle["digest"]) == ("tiny", "1", tiny_bundle.digest[:12])
    assert (bundle["answered"], bundle["failed"], bundle["streams"]) == (1, 1, 1)
    [stream] = told["streams"]
    assert (stream["device"], stream["captures"], stream["in_flight"]) == (HOSTILE, 2, 0)
    [incident] = told["incidents"]
    assert (incident["kind"], incident["device_id"], incident["count"]) == ("capture invalid", HOSTILE, 1)
    assert told["state"] == "ready"


async def test_a_refused_stream_is_among_what_went_wrong(server, connect):
    device = connect(server)
    await device.send(open=wire.Open(device_id="old camera", contract_digest=bytes(32)))
    await device.end()
    [incident] = json.loads((await fetch(server, "/status.json"))[2])["incidents"]
    assert (incident["kind"], incident["device_id"]) == ("stream refused", "old camera")
    assert "this server serves" in incident["message"]


@pytest.mark.slow
async def test_a_browser_shows_what_happens(server, connect, payload, browse):
    device = connect(server)
    await device.open(device_id=HOSTILE)
    origin = f"http://127.0.0.1:{server.metrics_port}"

    browser = await asyncio.to_thread(browse)
    await asyncio.to_thread(browser.open, origin)
    await asyncio.to_thread(browser.wait, "(document.getElementById('stream-rows') || {}).childElementCount === 1")
    assert browser.text("state") == "ready"
    before = browser.text("bundle-rows")
    for sequence in range(1, 8):
        await device.ask(sequence, codes=payload)
    await device.ask(8, codes=b"wrong")
    await asyncio.to_thread(browser.wait, "document.getElementById('incident-rows').childElementCount === 1")
    cells = "[...document.querySelectorAll('#bundle-rows td')].map(cell => cell.textContent)"
    shown = browser.evaluate(cells)
    assert (shown[0], shown[8], shown[9]) == ("tiny", "7", "1")
    assert browser.text("bundle-rows") != before
    assert browser.evaluate("document.querySelector('#stream-rows td').textContent") == HOSTILE
    assert browser.evaluate("document.querySelectorAll('img').length + document.title") == "0Isthmus tail"
    assert browser.complaints == []
    assert set(browser.requests) == {f"{origin}/", f"{origin}/status.json"}


@pytest.mark.slow
async def test_a_browser_tells_that_the_server_is_gone(serve, browse):
    server = await serve(metrics_port=0)
    browser = await asyncio.to_thread(browse)
    await asyncio.to_thread(browser.open, f"http://127.0.0.1:{server.metrics_port}")
    await asyncio.to_thread(browser.wait, "(document.getElementById('state') || {}).textContent === 'ready'")
    await server._status.stop()
    await asyncio.to_thread(browser.wait, "document.getElementById('state').textContent === 'no answer'")


@pytest.mark.slow
@pytest.mark.parametrize("width", [1200, 360])
async def test_the_page_is_no_wider_than_its_window(server, connect, browse, width):
    await connect(server).open(device_id="a camera with a very long name that goes on and on " * 3)
    browser = await asyncio.to_thread(browse)
    browser.show(width=width, height=800, scheme="dark")
    await asyncio.to_thread(browser.open, f"http://127.0.0.1:{server.metrics_port}")
    await asyncio.to_thread(browser.wait, "(document.getElementById('stream-rows') || {}).childElementCount === 1")
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    assert browser.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(16, 22, 26)"
