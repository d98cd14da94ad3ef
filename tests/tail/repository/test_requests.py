"""Loads and unloads that somebody asks for."""

import asyncio

import pytest

from isthmus.errors import BundleError, BundleNotServed, ConfigError


async def served(server):
    return [str(one) for one in server._catalog]


async def test_nothing_is_loaded_unless_it_is_asked_for(shelves, cups, serve_shelves, states):
    shelves.put(cups[0])
    server = await serve_shelves({"mode": "explicit"})
    assert (states(server), server.ready) == ({"cups 1": "UNAVAILABLE"}, True)
    await server.repository.load("cups")
    assert states(server) == {"cups 1": "READY"}
    await server.repository.unload("cups")
    await server.repository.settled()
    assert states(server) == {"cups 1": "UNAVAILABLE"}


async def test_names_are_loaded_at_the_start(shelves, cups, serve_shelves):
    shelves.put(cups[0])
    shelves.put(cups[1], "plates")
    server = await serve_shelves({"mode": "explicit", "load": ("plates",)})
    assert await served(server) == ["plates 1"]
    with pytest.raises(BundleNotServed, match="the repository has no bundle 'mugs'; it has 'cups', 'plates'"):
        await serve_shelves({"mode": "explicit", "load": ("mugs",)})


async def test_a_version_is_loaded_beside_another_until_the_name_is_loaded(shelves, cups, serve_shelves, connect):
    shelves.put(cups[0])
    server = await serve_shelves({"mode": "explicit", "load": ("cups",)})
    shelves.put(cups[1], "cups", "2")
    shelves.put(cups[2], "cups", "3")
    await server.repository.load("cups", "2")
    assert await served(server) == ["cups 1", "cups 2"]
    await server.repository.unload("cups", "1")
    assert await served(server) == ["cups 2"]
    await server.repository.load("cups")
    assert await served(server) == ["cups 3"]


async def test_loading_the_newest_tells_what_is_wrong_with_it_and_serves_the_one_before(shelves, cups, serve_shelves):
    shelves.put(cups[0])
    (shelves.put(cups[1], "cups", "2") / "tail.onnx").unlink()
    server = await serve_shelves({"mode": "explicit"})
    for _ in range(2):
        with pytest.raises(BundleError, match=r"tail\.onnx is missing"):
            await server.repository.load("cups")
    assert await served(server) == ["cups 1"]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (("../cups",), r"no bundle '\.\./cups'; it has 'cups'"),
        (("cups", "../1"), r"no bundle 'cups' version '\.\./1'; it has 'cups' in version 1"),
        (("",), "no bundle ''"),
        (("x" * 9999,), "no bundle 'x{128}'; it"),
    ],
)
async def test_what_is_not_there_is_not_loaded(shelves, cups, serve_shelves, asked, message):
    shelves.put(cups[0])
    server = await serve_shelves({"mode": "explicit"})
    with pytest.raises(BundleNotServed, match=message):
        await server.repository.load(*asked)
    with pytest.raises(BundleNotServed):
        await server.repository.unload(*asked)


@pytest.mark.parametrize("mode", ["none", "poll"])
async def test_only_explicit_mode_takes_requests(shelves, cups, serve_shelves, mode):
    shelves.put(cups[0])
    repository = (await serve_shelves({"mode": mode})).repository
    for verb in (repository.load, repository.unload):
        with pytest.raises(ConfigError, match=f"runs with --mode {mode}.*--mode explicit"):
            await verb("cups")


async def test_loads_at_the_same_time_come_one_after_the_other(shelves, cups, serve_shelves):
    for number, bundle in enumerate(cups, 1):
        shelves.put(bundle, "cups", str(number))
    server = await serve_shelves({"mode": "explicit"})
    load = server.repository.load
    await asyncio.gather(load("cups"), load("cups", "1"), load("cups", "2"), load("cups", "2"))
    assert await served(server) == ["cups 1", "cups 2", "cups 3"]
    assert 'isthmus_loads_total{result="ok"} 3.0' in server._metrics.text().decode()
