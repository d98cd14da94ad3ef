import gc
import threading
import weakref

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from isthmus.contract.bundle import MANIFEST_NAME, open_bundle
from isthmus.contract.generated import split_pb2 as wire
from isthmus.contract.sealing import sign_bundle
from isthmus.contract.trust import TrustedKeys
from isthmus.errors import BundleError, BundleNotServed, ConfigError
from isthmus.tail.model import TailModel
from isthmus.tail.repository import shelf
from isthmus.tail.repository.folder import RepositoryFolder
from isthmus.tail.served import Served

POLL = {"mode": "poll"}


async def served(server):
    return [str(one) for one in server._catalog]


async def health(server, channel_to):
    stub = health_pb2_grpc.HealthStub(channel_to(server))
    return (await stub.Check(health_pb2.HealthCheckRequest())).status == health_pb2.HealthCheckResponse.SERVING


@pytest.fixture
def held(monkeypatch):
    """Holds every computation until `set`; given back open."""
    opened, compute = threading.Event(), TailModel.compute

    def wait(self, worker, works):
        assert opened.wait(30)
        return compute(self, worker, works)

    monkeypatch.setattr(TailModel, "compute", wait)
    yield opened
    opened.set()


# --------------------------------------------------------------------------------------------------------------- the start


async def test_the_newest_version_of_every_name_is_served(shelves, cups, serve_shelves, states, reasons):
    shelves.put(cups[0], "cups", "9")
    shelves.pack(cups[1], "cups", "10")
    shelves.put(cups[2], "plates", "1")
    server = await serve_shelves()
    assert await served(server) == ["cups 10", "plates 1"]
    assert states(server) == {"cups 9": "UNAVAILABLE", "cups 10": "READY", "plates 1": "READY"}
    assert reasons(server)["cups 9"] == "version 10 is served"


async def test_an_older_version_is_served_where_the_newest_is_broken(shelves, cups, serve_shelves, states, reasons):
    shelves.put(cups[0], "cups", "1")
    (shelves.put(cups[1], "cups", "2") / "tail.onnx").write_bytes(b"broken")
    server = await serve_shelves()
    assert states(server) == {"cups 1": "READY", "cups 2": "UNAVAILABLE"}
    assert "tail.onnx has 6 bytes" in reasons(server)["cups 2"]
    assert server.ready


async def test_a_repository_without_a_bundle_is_refused(shelves, serve_shelves):
    with pytest.raises(BundleNotServed, match="holds no bundle: it is empty; a bundle folder"):
        await serve_shelves()
    (shelves.root / "notes.txt").touch()
    with pytest.raises(BundleNotServed, match=r"holds no bundle: .*notes\.txt is not a folder"):
        await serve_shelves()


async def test_a_repository_of_broken_bundles_only_is_refused(shelves, cups, serve_shelves):
    (shelves.put(cups[0]) / "tail.onnx").unlink()
    with pytest.raises(BundleError, match=r"is incomplete: tail\.onnx is missing"):
        await serve_shelves()


async def test_whoever_may_ask_for_loads_is_said_at_the_start(shelves):
    with pytest.raises(ConfigError, match="mode poll decides by itself"):
        RepositoryFolder(path=shelves.root, mode="poll", load=("cups",))
    with pytest.raises(ConfigError, match="every 0 s; more than 0"):
        RepositoryFolder(path=shelves.root, mode="poll", poll_s=0)


async def test_only_signed_bundles_are_served_where_keys_are_trusted(shelves, cups, serve_shelves, make_key, reasons):
    key = make_key(1)
    sign_bundle(shelves.put(cups[0]), key)
    shelves.put(cups[1], "cups", "2")
    server = await serve_shelves({"trusted": TrustedKeys({key.public.id: key.public})})
    assert await served(server) == ["cups 1"]
    assert "is not signed" in reasons(server)["cups 2"]


# ----------------------------------------------------------------------------------------------------------------- polling


async def test_a_new_version_takes_the_place_of_the_old_whose_devices_are_asked_to_leave(
    shelves, cups, serve_shelves, connect, payload, states, held
):
    """A tail is retired mid-session: what is in flight is answered, then the stream ends."""
    shelves.put(cups[0])
    server = await serve_shelves(POLL)
    old = connect(server, cups[0])
    await old.open()
    await old.capture(1, codes=payload)
    shelves.put(cups[1], "cups", "2")
    await server.repository.look()
    drain = (await old.receive()).drain
    assert drain.reason == "cups 1 is replaced by version 2"
    assert states(server) == {"cups 1": "UNLOADING", "cups 2": "READY"}
    new = connect(server, cups[1])
    assert (await new.open()).allowed
    held.set()
    assert (await old.answer()).status == wire.STATUS_OK
    assert await old.end() == grpc.StatusCode.OK
    await server.repository.settled()
    assert states(server) == {"cups 1": "UNAVAILABLE", "cups 2": "READY"}
    assert (await new.ask(1, codes=payload)).status == wire.STATUS_OK


async def test_a_device_with_the_old_head_is_told_what_is_served_now(shelves, cups, serve_shelves, connect):
    shelves.put(cups[0])
    server = await serve_shelves(POLL)
    old = connect(server, cups[0])
    session = (await old.open()).session
    shelves.put(cups[1], "cups", "2")
    await server.repository.look()
    await old.end()
    await server.repository.settled()
    again = connect(server, cups[0])
    await again.send(open=wire.Open(contract_digest=bytes.fromhex(cups[0].digest), device_id="camera", session=session))
    assert await again.end() == grpc.StatusCode.FAILED_PRECONDITION
    wanted = f"the device holds contract {cups[0].digest[:12]}, this server serves {cups[1].digest[:12]} (cups 2)"
    assert (await again.details()).startswith(wanted)


async def test_a_device_that_does_not_leave_is_cut_off_after_the_grace(shelves, cups, serve_shelves, connect, payload, held):
    shelves.put(cups[0])
    server = await serve_shelves(POLL, drain_grace_s=0.0)
    old = connect(server, cups[0])
    await old.open()
    await old.capture(1, codes=payload)
    shelves.put(cups[1], "cups", "2")
    await server.repository.look()
    assert await old.end() == grpc.StatusCode.UNAVAILABLE
    assert "replaced by version 2" in await old.details()
    held.set()
    await server.repository.settled()


async def test_sessions_of_a_retired_contract_end(shelves, cups, serve_shelves, connect):
    shelves.put(cups[0])
    shelves.put(cups[2], "plates")
    server = await serve_shelves(POLL)
    for bundle in (cups[0], cups[2]):
        device = connect(server, bundle)
        await device.open()
        await device.close()
    shelves.put(cups[1], "cups", "2")
    assert len(server._sessions) == 2
    await server.repository.look()
    await server.repository.settled()
    assert len(server._sessions) == 1


async def test_several_versions_are_served_where_the_settings_say_so(shelves, cups, serve_shelves, connect, payload):
    for number, bundle in enumerate(cups, 1):
        shelves.put(bundle, "cups", str(number))
    shelves.say("versions = 2\ninstances = 2\nqueue_max = 3")
    server = await serve_shelves(POLL)
    assert await served(server) == ["cups 2", "cups 3"]
    assert [one.model.workers for one in server._catalog] == [2, 2]
    device = connect(server, cups[1])
    await device.open()
    assert (await device.ask(1, codes=payload)).status == wire.STATUS_OK
    shelves.say("versions = 'all'")
    await server.repository.look()
    assert await served(server) == ["cups 1", "cups 2", "cups 3"]


async def test_a_version_that_is_removed_drains_and_the_next_older_one_comes_back(shelves, cups, serve_shelves, connect):
    shelves.put(cups[0])
    shelves.put(cups[1], "cups", "2")
    server = await serve_shelves(POLL)
    device = connect(server, cups[1])
    await device.open()
    shelves.remove("cups", "2")
    await server.repository.look()
    assert (await device.receive()).drain.reason == "cups 2 was removed from the repository"
    assert await device.end() == grpc.StatusCode.OK
    assert await served(server) == ["cups 1"]


async def test_a_broken_version_leaves_what_is_served_alone(shelves, cups, serve_shelves, connect, payload, reasons):
    shelves.put(cups[0])
    server = await serve_shelves(POLL)
    device = connect(server, cups[0])
    await device.open()
    (shelves.put(cups[1], "cups", "2") / "tail.onnx").write_bytes(b"broken")
    await server.repository.look()
    assert (await device.ask(1, codes=payload)).status == wire.STATUS_OK
    assert (await served(server), server.ready) == (["cups 1"], True)
    assert "tail.onnx has 6 bytes" in reasons(server)["cups 2"]


async def test_a_half_made_copy_is_loaded_when_it_is_whole(shelves, cups, serve_shelves, states):
    shelves.put(cups[0])
    server = await serve_shelves(POLL)
    place = shelves.root / "cups" / "2"
    place.mkdir()
    for name in ("head.onnx", "golden.npz", MANIFEST_NAME, *sorted(set(cups[1].manifest.files) - {"head.onnx", "golden.npz"})):
        await server.repository.look()
        assert states(server).get("cups 2") in (None, "UNAVAILABLE")
        (place / name).write_bytes((cups[1].folder / name).read_bytes())
    await server.repository.look()
    assert states(server)["cups 2"] == "READY"


async def test_files_that_change_while_they_are_read_are_not_served(shelves, cups, serve_shelves, age, monkeypatch, reasons):
    shelves.put(cups[0])
    server = await serve_shelves(POLL)
    place, load = shelves.put(cups[1], "cups", "2"), Served.load

    async def meddle(*arguments, **named):
        age(place / "head.onnx")
        return await load(*arguments, **named)

    with monkeypatch.context() as patch:
        patch.setattr(Served, "load", meddle)
        await server.repository.look()
    assert await served(server) == ["cups 1"]
    assert "were changed while they were read" in reasons(server)["cups 2"]
    await server.repository.look()
    assert await served(server) == ["cups 2"]


async def test_what_cannot_be_loaded_is_not_read_again_until_it_changes(shelves, cups, serve_shelves, age, monkeypatch):
    shelves.put(cups[0])
    server = await serve_shelves(POLL)
    broken = shelves.put(cups[1], "cups", "2") / "tail.onnx"
    broken.write_bytes(b"broken")
    opened = []
    monkeypatch.setattr(shelf, "open_any", lambda path, **named: opened.append(path) or open_bundle(path, **named))
    for _ in range(3):
        await server.repository.look()
    assert len(opened) == 1
    age(broken)
    await server.repository.look()
    assert len(opened) == 2


async def test_what_this_machine_had_no_room_for_is_tried_again(shelves, cups, serve_shelves, monkeypatch, reasons):
    shelves.put(cups[0])
    server = await serve_shelves(POLL)
    shelves.put(cups[1], "cups", "2")
    with monkeypatch.context() as patch:
        patch.setattr(TailModel, "load", lambda *_arguments, **_named: bytearray(1 << 62))
        await server.repository.look()
    assert (await served(server), reasons(server)["cups 2"]) == (["cups 1"], "MemoryError()")
    await server.repository.look()
    assert await served(server) == ["cups 2"]


async def test_newer_files_of_the_same_version_are_swapped_in(shelves, cups, serve_shelves, connect, payload):
    shelves.put(cups[0])
    server = await serve_shelves(POLL)
    old = connect(server, cups[0])
    await old.open()
    shelves.put(cups[1])
    await server.repository.look()
    assert (await old.receive()).drain.reason == "cups 1 is replaced by newer files of the same version"
    new = connect(server, cups[1])
    await new.open()
    assert (await new.ask(1, codes=payload)).status == wire.STATUS_OK


async def test_newer_files_that_are_broken_leave_the_older_ones_served(shelves, cups, serve_shelves, states, reasons):
    place = shelves.put(cups[0])
    server = await serve_shelves(POLL)
    (place / "tail.onnx").unlink()
    await server.repository.look()
    assert states(server) == {"cups 1": "READY"}
    assert reasons(server)["cups 1"].startswith("newer files of it cannot be loaded: ")


async def test_files_that_were_only_touched_are_not_loaded_again(shelves, cups, serve_shelves, age):
    place = shelves.put(cups[0])
    server = await serve_shelves(POLL)
    (before,) = server._catalog
    age(place / "tail.onnx")
    await server.repository.look()
    assert list(server._catalog) == [before]


async def test_wrong_settings_leave_what_is_served_alone(shelves, cups, serve_shelves, reasons):
    for number in (1, 2):
        shelves.put(cups[number], "cups", str(number))
    shelves.say("versions = 2")
    server = await serve_shelves(POLL)
    shelves.say("versoins = 1")
    await server.repository.look()
    assert await served(server) == ["cups 1", "cups 2"]
    assert "'versoins': Extra inputs are not permitted" in reasons(server)["cups 2"]


async def test_a_repository_that_cannot_be_read_leaves_what_is_served_alone(shelves, cups, serve_shelves):
    shelves.put(cups[0])
    server = await serve_shelves(POLL)
    shelves.root.rename(shelves.root.with_name("away"))
    with pytest.raises(ConfigError, match="cannot be read"):
        await server.repository.look()
    assert (await served(server), server.ready) == (["cups 1"], True)


async def test_sessions_outlive_other_settings_of_the_same_bundle(shelves, cups, serve_shelves, connect, payload):
    shelves.put(cups[0])
    server = await serve_shelves(POLL)
    device = connect(server, cups[0])
    session = (await device.open()).session
    await device.ask(1, codes=payload)
    shelves.say("instances = 2")
    await server.repository.look()
    assert await device.end() == grpc.StatusCode.OK
    await server.repository.settled()
    opened = await connect(server, cups[0]).open(session=session)
    assert (opened.resumed, list(opened.references)) == (True, [1])


async def test_the_networks_of_a_retired_version_are_let_go(shelves, cups, serve_shelves, connect, payload):
    shelves.put(cups[0])
    server = await serve_shelves(POLL)
    device = connect(server, cups[0])
    await device.open()
    await device.ask(1, codes=payload)
    networks = [weakref.ref(one.model) for one in server._catalog]
    shelves.put(cups[1], "cups", "2")
    await server.repository.look()
    await device.end()
    await server.repository.settled()
    gc.collect()
    assert [network() for network in networks] == [None]
    assert sum(thread.name.startswith("isthmus-worker") for thread in threading.enumerate()) == 1


async def test_loads_and_unloads_are_counted(shelves, cups, serve_shelves):
    shelves.put(cups[0])
    server = await serve_shelves(POLL)
    (shelves.put(cups[1], "cups", "2") / "tail.onnx").unlink()
    shelves.put(cups[2], "cups", "3")
    await server.repository.look()
    shelves.remove("cups", "3")
    await server.repository.look()
    await server.repository.settled()
    lines = server._metrics.text().decode().splitlines()
    assert 'isthmus_loads_total{result="ok"} 3.0' in lines
    assert 'isthmus_loads_total{result="failed"} 1.0' in lines
    assert "isthmus_unloads_total 2.0" in lines


async def test_the_server_looks_by_itself(shelves, cups, serve_shelves, channel_to):
    """A name whose only version is broken keeps the server from being ready, until it is mended."""
    place = shelves.put(cups[0])
    tail = (place / "tail.onnx").read_bytes()
    (place / "tail.onnx").write_bytes(b"broken")
    server = await serve_shelves({**POLL, "poll_s": 0.02})
    watch = health_pb2_grpc.HealthStub(channel_to(server)).Watch(health_pb2.HealthCheckRequest())
    assert (await watch.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
    (place / "tail.onnx").write_bytes(tail)
    assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
    assert await served(server) == ["cups 1"]


# --------------------------------------------------------------------------------------------------------------- readiness


async def test_strict_readiness_waits_for_every_name(shelves, cups, serve_shelves, channel_to):
    shelves.put(cups[0])
    (shelves.put(cups[1], "plates") / "tail.onnx").unlink()
    strict, lax = await serve_shelves(POLL), await serve_shelves(POLL, strict_readiness=False)
    assert (strict.ready, lax.ready) == (False, True)
    assert [await health(server, channel_to) for server in (strict, lax)] == [False, True]
    shelves.remove("plates")
    await strict.repository.look()
    assert strict.ready
    assert await health(strict, channel_to)


async def test_a_name_that_arrives_broken_does_not_take_the_readiness_away(shelves, cups, serve_shelves):
    shelves.put(cups[0])
    server = await serve_shelves(POLL)
    (shelves.put(cups[1], "plates") / "tail.onnx").unlink()
    await server.repository.look()
    assert server.ready
