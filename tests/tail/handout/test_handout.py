"""Bundles over the wire, from a real server."""

import asyncio
import hashlib
import shutil

import grpc
import pytest
from structlog.testing import capture_logs

from isthmus.contract.bundle import open_bundle
from isthmus.contract.generated import split_pb2 as wire
from isthmus.contract.generated import split_pb2_grpc
from isthmus.contract.packed import PackedBundle
from isthmus.contract.sealing import sign_bundle
from isthmus.errors import TailUnavailable
from isthmus.tail.admission.handout import HandoutLimits
from isthmus.tail.handout import handout
from isthmus.tail.repository.folder import RepositoryFolder
from isthmus.tail.watching.updates import UpdateFigures


@pytest.fixture
def stub_of(channel_to):
    return lambda server: split_pb2_grpc.TailStub(channel_to(server))


async def fetch(stub, **fields):
    return [chunk async for chunk in stub.FetchBundle(wire.FetchBundleRequest(**fields))]


async def test_a_bundle_arrives_whole(serve, stub_of, tiny_bundle, tmp_path, monkeypatch):
    monkeypatch.setattr(handout, "CHUNK_BYTES", 1000)
    first, *chunks = await fetch(stub_of(await serve()), bundle="tiny")
    data = b"".join(chunk.data for chunk in chunks)
    assert (first.data, first.offset, first.archive_bytes) == (b"", 0, len(data))
    assert first.archive_digest == hashlib.sha256(data).digest()
    assert first.manifest_digest == hashlib.sha256(tiny_bundle.manifest_bytes).digest()
    assert [chunk.offset for chunk in chunks] == list(range(0, len(data), 1000))
    (tmp_path / "sent.isthmus").write_bytes(data)
    assert open_bundle(tmp_path / "sent.isthmus", cache=tmp_path).digest == tiny_bundle.digest


async def test_a_look_gives_no_data_and_takes_no_place(serve, stub_of, tiny_bundle):
    server = await serve()
    (only,) = await fetch(stub_of(server), look_only=True)
    assert (only.archive_bytes, only.bundle, only.version) == (PackedBundle(tiny_bundle).size_bytes, "tiny", "1")
    assert b'isthmus_update_transfers_total{result="complete"} 0.0' in server._metrics.text()


async def test_a_transfer_goes_on_at_another_server_of_the_same_bundle(serve, stub_of, tiny_bundle, tmp_path):
    copy = shutil.copytree(tiny_bundle.folder, tmp_path / "copy")
    one, other = stub_of(await serve()), stub_of(await serve(bundle=open_bundle(copy)))
    whole = b"".join(chunk.data for chunk in (await fetch(one))[1:])
    first, *rest = await fetch(other, offset=700, archive_digest=hashlib.sha256(whole).digest())
    assert (first.offset, b"".join(chunk.data for chunk in rest)) == (700, whole[700:])


async def test_the_rest_of_another_archive_is_not_sent(serve, stub_of):
    first, *_ = await fetch(stub_of(await serve()), offset=700, archive_digest=bytes(32))
    assert first.offset == 0


@pytest.mark.parametrize(
    ("fields", "status", "words"),
    [
        ({"bundle": "other"}, "NOT_FOUND", "bundle 'other' is not served here"),
        ({"bundle": "tiny", "version": "9"}, "NOT_FOUND", "version '9'"),
        ({"bundle": "x" * 600}, "RESOURCE_EXHAUSTED", "bundle has 600 bytes"),
        ({"offset": 1}, "INVALID_ARGUMENT", "offset 1 is of no archive"),
        ({"archive_digest": b"short"}, "INVALID_ARGUMENT", "32 bytes, got 5"),
    ],
)
async def test_what_cannot_be_is_refused(serve, stub_of, fields, status, words):
    call = stub_of(await serve()).FetchBundle(wire.FetchBundleRequest(**fields))
    assert (await call.code()).name == status
    assert words in await call.details()


async def test_an_offset_beyond_the_end_is_refused(serve, stub_of, tiny_bundle):
    digest = bytes.fromhex(PackedBundle(tiny_bundle).sha256)
    call = stub_of(await serve()).FetchBundle(wire.FetchBundleRequest(offset=1 << 40, archive_digest=digest))
    assert await call.code() == grpc.StatusCode.INVALID_ARGUMENT


async def test_more_transfers_than_places_are_told_when_to_come_back(serve, stub_of, tiny_bundle, monkeypatch):
    monkeypatch.setattr(handout, "CHUNK_BYTES", 100)
    server = await serve(handout=HandoutLimits(transfers=1, bytes_per_s=1000))
    stub = stub_of(server)
    running = stub.FetchBundle(wire.FetchBundleRequest())
    await running.read()
    late = stub.FetchBundle(wire.FetchBundleRequest())
    assert await late.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert ("isthmus-retry-after-ms", "5000") in list(await late.trailing_metadata())
    running.cancel()


async def test_frames_are_answered_while_a_bundle_is_on_its_way(serve, stub_of, connect, payload, monkeypatch):
    monkeypatch.setattr(handout, "CHUNK_BYTES", 100)
    server = await serve(handout=HandoutLimits(bytes_per_s=5000))
    device = connect(server)
    await device.open()
    running = stub_of(server).FetchBundle(wire.FetchBundleRequest())
    await running.read()
    answers = [(await device.ask(number, codes=payload)).status for number in range(1, 50)]
    assert set(answers) == {wire.STATUS_OK}
    assert not running.done()
    running.cancel()


async def test_a_device_that_takes_nothing_loses_its_place(serve, monkeypatch):
    monkeypatch.setattr(handout, "STALLED_S", 0.05)
    server = await serve()
    figures = UpdateFigures()
    sending = handout.Handout(server._catalog, HandoutLimits(), figures)

    async def write(chunk):
        if chunk.data:
            await asyncio.Event().wait()

    with pytest.raises(TailUnavailable, match=r"takes nothing for 0\.05 s; go on later at 0"):
        await sending.send(wire.FetchBundleRequest(), write, by="nobody")
    assert figures.running() == 0


async def test_a_transfer_that_takes_too_long_makes_room_and_says_where_to_go_on(serve, stub_of, monkeypatch):
    monkeypatch.setattr(handout, "TRANSFER_MAX_S", -1.0)
    server = await serve()
    with pytest.raises(grpc.aio.AioRpcError, match="go on at 0 of") as caught:
        await fetch(stub_of(server))
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert b'isthmus_update_transfers_total{result="paused"} 1.0' in server._metrics.text()


async def test_what_was_sent_is_counted_and_told_to_the_auditor(serve, stub_of, tiny_bundle):
    server = await serve()
    with capture_logs() as lines:
        await fetch(stub_of(server), bundle="tiny")
    (line,) = (line for line in lines if line["event"] == "bundle handed out")
    assert (line["by"], line["served"], line["bundle"]) == ("anonymous '127.0.0.1'", "tiny 1", "'tiny'")
    text = server._metrics.text().decode()
    assert f"isthmus_update_bytes_total {float(PackedBundle(tiny_bundle).size_bytes)}" in text
    assert 'isthmus_update_transfers_total{result="complete"} 1.0' in text


async def test_a_signature_that_is_added_while_the_bundle_is_served_is_handed_out(serve, stub_of, make_tiny_bundle, make_key):
    bundle = make_tiny_bundle()
    stub = stub_of(await serve(bundle=bundle))
    (before,) = await fetch(stub, look_only=True)
    sign_bundle(bundle.folder, make_key(1))
    (after,) = await fetch(stub, look_only=True)
    assert before.archive_digest != after.archive_digest
    assert before.manifest_digest == after.manifest_digest


async def test_of_a_repository_the_newest_version_is_handed_out_under_either_name(serve, stub_of, make_tiny_bundle, tmp_path):
    for version, seed in (("1", 1), ("2", 2)):
        shutil.copytree(make_tiny_bundle(seed=seed).folder, tmp_path / "cups" / version)
    (tmp_path / "cups/serve.toml").write_text("versions = 2\n")
    stub = stub_of(await serve(bundle=RepositoryFolder(path=tmp_path)))
    named = [(await fetch(stub, look_only=True, **fields))[0] for fields in ({"bundle": "cups"}, {"bundle": "tiny"})]
    assert {(one.bundle, one.version) for one in named} == {("cups", "2")}
    (old,) = await fetch(stub, look_only=True, bundle="tiny", version="1")
    assert old.manifest_digest != named[0].manifest_digest
