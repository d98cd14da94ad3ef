"""Servers behind TLS and tokens, and callers of all kinds."""

import contextlib
import datetime
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest

from isthmus.contract.generated import split_pb2 as wire
from isthmus.contract.generated import split_pb2_grpc
from isthmus.tail.security import token_file
from isthmus.tail.security.scopes import Scope
from isthmus.tail.security.settings import SecuritySettings
from isthmus.tail.security.token import Grant

NOW = datetime.datetime(2026, 5, 17, 12, tzinfo=datetime.UTC)


@pytest.fixture
def make_token(tmp_path: Path) -> Callable[..., tuple[Grant, str]]:
    """A function that adds a token of a name and scopes to `tokens.jsonl`; gives the grant and the token."""

    def make(name: str = "camera-1", *scopes: str, expires: datetime.datetime | None = None) -> tuple[Grant, str]:
        granted = tuple(Scope(scope) for scope in scopes or ("stream",))
        grant, text = Grant.make(name, granted, created=NOW, expires=expires)
        token_file.add(tmp_path / "tokens.jsonl", grant)
        return grant, text

    return make


@pytest.fixture
def describe() -> Callable[..., object]:
    """A function that calls Describe on a new connection: gives the status' name and its details, `("OK", "")` if it went well.

    Arguments: `ca`, `pair` (certificate and key), `token`, `host`.
    """

    async def call(server, *, ca: Path | None = None, pair=None, token: str | None = None, host: str = "localhost"):
        key, chain = (pair[1].read_bytes(), pair[0].read_bytes()) if pair else (None, None)
        options = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0)]
        address = f"{host}:{server.grpc_port}"
        if ca is None:
            channel = grpc.aio.insecure_channel(address, options=options)
        else:
            channel = grpc.aio.secure_channel(address, grpc.ssl_channel_credentials(ca.read_bytes(), key, chain), options=options)
        metadata = (("authorization", f"Bearer {token}"),) if token else ()
        async with contextlib.AsyncExitStack() as stack:
            stack.push_async_callback(channel.close)
            try:
                await split_pb2_grpc.TailStub(channel).Describe(wire.DescribeRequest(), metadata=metadata, timeout=20)
            except grpc.aio.AioRpcError as error:
                return error.code().name, error.details()
            return "OK", ""

    return call


@pytest.fixture
def tls(make_authority) -> tuple[Path, SecuritySettings]:
    """A file of an authority, and settings with a certificate by it."""
    authority = make_authority()
    cert, key = authority.issue("server")
    return authority.file, SecuritySettings(tls_cert=cert, tls_key=key)
