import asyncio
import ssl
import warnings

import grpc
import pytest
from structlog.testing import capture_logs

from isthmus.errors import ConfigError
from isthmus.tail.security.certificates import Certificates
from isthmus.tail.security.settings import SecuritySettings


async def test_devices_come_in_over_tls(serve, describe, tls):
    ca, security = tls
    server = await serve(security=security)
    assert await describe(server, ca=ca) == ("OK", "")


async def test_a_server_of_tls_takes_no_plain_calls(serve, describe, tls):
    server = await serve(security=tls[1])
    assert (await describe(server))[0] == "UNAVAILABLE"


async def test_a_server_without_client_authority_takes_any_client(serve, describe, tls, make_authority):
    server = await serve(security=tls[1])
    assert await describe(server, ca=tls[0], pair=make_authority("stranger").issue("x")) == ("OK", "")


async def test_tls_1_1_is_refused(serve, tls):
    server = await serve(security=tls[1], metrics_port=0)
    for port in (server.grpc_port, server.metrics_port):
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await _shake(port, maximum="TLSv1_1")
        await _shake(port, maximum="TLSv1_2")


async def _shake(port, maximum):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    with warnings.catch_warnings(action="ignore"):
        context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1_1, ssl.TLSVersion[maximum]
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    writer.close()


# ---------------------------------------------------------------------------------------------------- client certificates


@pytest.fixture
def mutual(make_authority, tls):
    """Settings that ask for a client certificate, and the authority of clients."""
    clients = make_authority("clients")
    security = SecuritySettings(tls_cert=tls[1].tls_cert, tls_key=tls[1].tls_key, tls_client_ca=clients.file)
    return security, clients


async def test_a_client_certificate_lets_its_device_in(serve, describe, tls, mutual):
    server = await serve(security=mutual[0])
    assert await describe(server, ca=tls[0], pair=mutual[1].issue("camera-1")) == ("OK", "")


async def test_no_expired_and_foreign_client_certificates_are_refused(serve, describe, tls, mutual, make_authority):
    server = await serve(security=mutual[0])
    pairs = [None, mutual[1].issue("late", days=-1), make_authority("others").issue("camera-1")]
    assert [(await describe(server, ca=tls[0], pair=pair))[0] for pair in pairs] == ["UNAVAILABLE"] * 3


async def test_an_impostor_with_the_authoritys_name_is_refused(serve, describe, tls, mutual, tmp_path, make_authority):
    server = await serve(security=mutual[0])
    (tmp_path / "clients.pem").rename(tmp_path / "true.pem")
    impostor = make_authority("clients").issue("camera-1")
    (tmp_path / "true.pem").replace(tmp_path / "clients.pem")
    assert (await describe(server, ca=tls[0], pair=impostor))[0] == "UNAVAILABLE"


async def test_a_revoked_client_certificate_is_refused(serve, describe, tls, mutual):
    security, clients = mutual
    server = await serve(security=security)
    lost, kept = clients.issue("camera-1"), clients.issue("camera-2")
    security.tls_client_ca.write_bytes(clients.file.read_bytes() + clients.revoke(lost[0]))
    refused = ("UNAUTHENTICATED", "certificate 'camera-1' was revoked by its authority")
    assert await describe(server, ca=tls[0], pair=lost) == refused
    assert await describe(server, ca=tls[0], pair=kept) == ("OK", "")


async def test_a_revocation_list_by_somebody_else_is_refused(mutual, make_authority, tmp_path):
    clients = mutual[1]
    forged = make_authority("others").revoke(clients.issue("camera-1")[0])
    clients.file.write_bytes(clients.file.read_bytes() + forged)
    with pytest.raises(ConfigError, match="none of its authorities has signed"):
        Certificates(mutual[0])


# ------------------------------------------------------------------------------------------------------------- new files


async def test_a_new_certificate_counts_from_the_next_connection_on(serve, describe, tls, make_authority):
    server = await serve(security=tls[1], metrics_port=0)
    await describe(server, ca=tls[0])
    renewed = make_authority("next")
    renewed.issue("server")
    assert await describe(server, ca=renewed.file) == ("OK", "")
    assert (await describe(server, ca=tls[0]))[0] == "UNAVAILABLE"


@pytest.mark.parametrize("broken", [b"", b"nonsense", None])
async def test_a_broken_certificate_leaves_the_old_one_and_is_told_once(serve, describe, tls, broken):
    server = await serve(security=tls[1])
    with capture_logs() as logs:
        if broken is None:
            tls[1].tls_cert.unlink()
        else:
            tls[1].tls_cert.write_bytes(broken)
        for _ in range(2):
            assert await describe(server, ca=tls[0]) == ("OK", "")
    [told] = [line for line in logs if line["log_level"] == "error"]
    assert told["event"] == "certificates changed and cannot be used; the old go on"
    assert str(tls[1].tls_cert) in told["reason"]


async def test_half_of_a_renewal_leaves_the_old_until_the_other_half_comes(serve, describe, tls, make_authority, tmp_path):
    server = await serve(security=tls[1])
    renewed = make_authority("next")
    cert, key = renewed.issue("server", file="new")
    cert.replace(tls[1].tls_cert)
    assert await describe(server, ca=tls[0]) == ("OK", "")
    key.replace(tls[1].tls_key)
    assert await describe(server, ca=renewed.file) == ("OK", "")


# ------------------------------------------------------------------------------------------------------------ wrong files


def test_an_expired_certificate_does_not_start(make_authority):
    cert, key = make_authority().issue("server", days=-1)
    with pytest.raises(ConfigError, match=r"server.crt expired on \d{4}-\d\d-\d\d"):
        Certificates(SecuritySettings(tls_cert=cert, tls_key=key))


def test_a_key_that_others_read_is_warned_of(tls):
    tls[1].tls_key.chmod(0o644)
    with capture_logs() as logs:
        Certificates(tls[1])
    assert [line["mend"] for line in logs] == [f"chmod 600 {tls[1].tls_key}"]


def test_grpc_gets_new_files_once_and_none_when_nothing_changed(tls, monkeypatch, make_authority):
    taken = []
    monkeypatch.setattr(grpc, "dynamic_ssl_server_credentials", lambda _first, fetch, _asks: taken.append(fetch))
    Certificates(tls[1]).for_grpc()
    [fetch] = taken
    assert fetch() is None
    make_authority("next").issue("server")
    assert [fetch() is None, fetch() is None] == [False, True]
