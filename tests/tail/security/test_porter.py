import asyncio
import ssl
import urllib.error
import urllib.request
from base64 import b64encode

import pytest

from isthmus.tail.security.settings import SecuritySettings


@pytest.fixture
def get():
    """A function that fetches a page: gives status, text and headers. Arguments: `ca`, `pair`, `authorization`."""

    def fetch(server, path, ca, pair, authorization):
        context = None
        if ca is not None:
            context = ssl.create_default_context(cafile=ca)
            if pair:
                context.load_cert_chain(*pair)
        address = f"{'https' if ca else 'http'}://localhost:{server.metrics_port}{path}"
        request = urllib.request.Request(address, headers={"authorization": authorization} if authorization else {})
        try:
            with urllib.request.urlopen(request, timeout=20, context=context) as reply:
                return reply.status, reply.read().decode(), reply.headers
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode(), error.headers

    async def call(server, path="/metrics", *, ca=None, pair=None, authorization=None):
        return await asyncio.to_thread(fetch, server, path, ca, pair, authorization)

    return call


@pytest.fixture
async def guarded(serve, tmp_path, make_token):
    """A server whose token file has `viewer` of the scope metrics and `camera-1` of the scope stream."""
    tokens = {name: make_token(name, scope)[1] for name, scope in (("viewer", "metrics"), ("camera-1", "stream"))}
    server = await serve(security=SecuritySettings(tokens=tmp_path / "tokens.jsonl"), metrics_port=0)
    server.issued = tokens
    return server


@pytest.mark.parametrize("kind", ["Bearer", "Basic"])
async def test_a_token_opens_the_pages(guarded, get, kind):
    token = guarded.issued["viewer"]
    value = token if kind == "Bearer" else b64encode(f":{token}".encode()).decode()
    for path in ("/", "/metrics"):
        assert (await get(guarded, path, authorization=f"{kind} {value}"))[0] == 200


async def test_without_a_token_a_browser_is_told_to_ask_for_a_password(guarded, get):
    status, text, headers = await get(guarded)
    assert (status, headers["www-authenticate"][:6]) == (401, "Basic ")
    assert text.startswith("this server asks for a token and none came")


async def test_a_token_of_another_scope_is_forbidden(guarded, get):
    status, text, _ = await get(guarded, authorization=f"Bearer {guarded.issued['camera-1']}")
    assert (status, text.endswith("has the scopes stream, and this call needs metrics\n")) == (403, True)


async def test_who_is_refused_is_counted_by_reason(guarded, get):
    await get(guarded)
    await get(guarded, authorization="Bearer wrong")
    await get(guarded, authorization=f"Bearer {guarded.issued['camera-1']}")
    counted = guarded._metrics.text().decode()
    assert 'isthmus_refused_total{reason="unauthenticated"} 2.0' in counted
    assert 'isthmus_refused_total{reason="permission"} 1.0' in counted
    [incident] = guarded._metrics.incidents
    assert (incident.kind, incident.count) == ("call refused", 3)


async def test_a_token_in_the_address_does_not_count(guarded, get):
    assert (await get(guarded, f"/metrics?access_token={guarded.issued['viewer']}"))[0] == 401


@pytest.mark.parametrize("path", ["/health/live", "/health/ready"])
async def test_health_is_open(guarded, get, path):
    assert (await get(guarded, path))[0] == 200


@pytest.mark.parametrize("path", ["/health/live/../../metrics", "//health/live", "/health/live/x", "/%68ealth/../metrics"])
async def test_nothing_near_health_is_open(guarded, get, path):
    assert (await get(guarded, path))[0] == 401


# ------------------------------------------------------------------------------------------------------------------- TLS


async def test_pages_come_over_tls(serve, get, tls):
    server = await serve(security=tls[1], metrics_port=0)
    assert (await get(server, ca=tls[0]))[0] == 200


async def test_pages_show_a_new_certificate_from_the_next_connection_on(serve, get, tls, make_authority):
    server = await serve(security=tls[1], metrics_port=0)
    renewed = make_authority("next")
    renewed.issue("server")
    assert (await get(server, ca=renewed.file))[0] == 200
    with pytest.raises(urllib.error.URLError, match="CERTIFICATE_VERIFY_FAILED"):
        await get(server, ca=tls[0])


async def test_with_client_certificates_their_scope_opens_the_pages_and_health_needs_none(serve, get, tls, make_authority):
    clients = make_authority("clients")
    security = SecuritySettings(tls_cert=tls[1].tls_cert, tls_key=tls[1].tls_key, tls_client_ca=clients.file)
    server = await serve(security=security, metrics_port=0)
    viewer, camera = clients.issue("viewer", units=("metrics",)), clients.issue("camera-1")
    assert [(await get(server, ca=tls[0], pair=pair))[0] for pair in (viewer, camera, None)] == [200, 403, 401]
    assert (await get(server, "/health/live", ca=tls[0]))[0] == 200


async def test_a_foreign_client_certificate_does_not_even_see_health(serve, get, tls, make_authority):
    clients, others = make_authority("clients"), make_authority("others")
    security = SecuritySettings(tls_cert=tls[1].tls_cert, tls_key=tls[1].tls_key, tls_client_ca=clients.file)
    server = await serve(security=security, metrics_port=0)
    with pytest.raises((urllib.error.URLError, ConnectionError)):
        await get(server, "/health/live", ca=tls[0], pair=others.issue("viewer", units=("metrics",)))
