"""A device and a server that do not fit together: one line that says why, whatever gRPC calls it."""

import asyncio
import datetime
import socket

import pytest

from isthmus.errors import AccessError, ConfigError, TailUnavailable, Unauthenticated
from isthmus.head import handshake
from isthmus.head.credentials import Credentials
from isthmus.head.link import Link
from isthmus.head.search import LinkSettings
from isthmus.head.stream import Stream, greeting
from isthmus.tail.security import token_file
from isthmus.tail.security.scopes import Scope
from isthmus.tail.security.settings import SecuritySettings
from isthmus.tail.security.token import Grant

SOON = LinkSettings(connect_timeout_s=5.0)


@pytest.fixture
def authority(make_authority):
    return make_authority()


@pytest.fixture
def secured(serve, authority, tiny_bundle):
    """A function that starts a server whose certificate is made with the arguments."""

    def start(*, clients=None, **certificate):
        cert, key = authority.issue("server", **certificate)
        return serve(tiny_bundle, security=SecuritySettings(tls_cert=cert, tls_key=key, tls_client_ca=clients))

    return start


@pytest.fixture
def refusal(tiny_bundle):
    """A function that calls a server with credentials and gives the error."""

    def call(tail, host="localhost", **files):
        link = Link(tiny_bundle, [f"{host}:{tail.port}"], device_id="d", settings=SOON, credentials=Credentials(**files))
        with link, pytest.raises(AccessError) as caught:
            link.wait_connected(30)
        assert "\n" not in str(caught.value)
        assert caught.value.exit_code == 3
        return str(caught.value)

    return call


def test_a_device_that_trusts_the_authority_gets_in(secured, authority, tiny_bundle):
    for host in ("localhost", "127.0.0.1"):
        with Link(tiny_bundle, [f"{host}:{secured().port}"], device_id="d", credentials=Credentials(ca=authority.file)) as link:
            link.wait_connected(30)


def test_the_wrong_authority(secured, make_authority, refusal):
    tail, other = secured(), make_authority("other").file
    assert f"no authority in {other} signed the certificate of localhost:{tail.port}" in refusal(tail, ca=other)


def test_an_expired_certificate_of_the_server(secured, authority, refusal, monkeypatch):
    monkeypatch.setattr("isthmus.contract.certificate.check_pair", lambda *_arguments, **_options: None)
    assert "has expired (this device's clock says 20" in refusal(secured(days=-1), ca=authority.file)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_a_certificate_for_other_names(secured, authority, refusal, host):
    tail = secured(names=("tail.example", "192.0.2.7"))
    assert f"is for tail.example, 192.0.2.7 and not for '{host}'" in refusal(tail, host, ca=authority.file)


def test_a_plain_device_at_a_server_of_tls(secured, refusal):
    assert "speaks TLS and was called without; give --tls-ca" in refusal(secured())


def test_a_device_of_tls_at_a_plain_server(serve, authority, refusal):
    assert "speaks no TLS" in refusal(serve(), ca=authority.file)


def test_no_client_certificate_where_one_is_asked_for(secured, authority, make_authority, refusal):
    tail = secured(clients=make_authority("clients").file)
    assert "asks for a client certificate; give --tls-cert and --tls-key" in refusal(tail, ca=authority.file)


def test_a_plain_device_at_a_server_of_mutual_tls(secured, make_authority, refusal):
    assert "speaks TLS and was called without" in refusal(secured(clients=make_authority("clients").file))


def test_a_client_certificate_by_another_authority(secured, authority, make_authority, refusal):
    tail = secured(clients=make_authority("clients").file)
    cert, key = make_authority("others").issue("camera-1")
    words = refusal(tail, ca=authority.file, certificate=cert, key=key)
    assert f"refuses the certificate {cert}: it believes other authorities" in words


def test_an_expired_client_certificate_is_told_before_it_is_sent(secured, authority, make_authority, tiny_bundle):
    clients = make_authority("clients")
    cert, key = clients.issue("camera-1", days=-1)
    shown = Credentials(ca=authority.file, certificate=cert, key=key)
    tail = secured(clients=clients.file)
    link = Link(tiny_bundle, [f"localhost:{tail.port}"], device_id="d", credentials=shown)
    with link, pytest.raises(ConfigError, match=r"camera-1.crt expired on"):
        link.wait_connected(30)


def test_a_dead_address_is_not_looked_at_again(monkeypatch, tiny_bundle):
    looked = []
    monkeypatch.setattr(handshake, "_look_plain", looked.append)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        hello = greeting("tiny", tiny_bundle.digest, [1], "d")
        with pytest.raises(TailUnavailable, match="nobody listens"):
            Stream(f"127.0.0.1:{free.getsockname()[1]}", hello, connect_timeout_s=5.0, on_change=lambda: None)
    assert looked == []


# --------------------------------------------------------------------------------------------------------------- renewals


def until(condition):
    async def wait():
        async with asyncio.timeout(60):
            while not condition():
                await asyncio.sleep(0.01)

    asyncio.run(wait())


def test_who_was_let_in_once_comes_back_when_the_token_is_good_again(serve, tiny_bundle, tmp_path):
    now = datetime.datetime.now(datetime.UTC)
    tokens, file = tmp_path / "tokens.jsonl", tmp_path / "token"
    old, new = (Grant.make("d", (Scope.STREAM,), created=now, expires=None) for _ in range(2))
    for grant, _ in (old, new):
        token_file.add(tokens, grant)
    file.write_text(old[1])
    tail = serve(tiny_bundle, security=SecuritySettings(tokens=tokens))
    with Link(tiny_bundle, [tail.address], device_id="d", settings=SOON, credentials=Credentials(token_file=file)) as link:
        link.wait_connected(30)
        token_file.revoke(tokens, old[0].id, now)
        until(lambda: isinstance(link._search.last_error, Unauthenticated))
        assert link.failure is None
        file.write_text(new[1])
        until(lambda: link.connected)


def test_one_server_that_refuses_leaves_the_others(serve, tiny_bundle, tmp_path):
    (tmp_path / "tokens.jsonl").touch()
    guarded, open_ = serve(tiny_bundle, security=SecuritySettings(tokens=tmp_path / "tokens.jsonl")), serve()
    with Link(tiny_bundle, [guarded.address, open_.address], device_id="d", settings=SOON) as link:
        link.wait_connected(30)
        assert link._stream.address == open_.address
