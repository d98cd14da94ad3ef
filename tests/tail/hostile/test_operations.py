"""What an operator and a machine do to a server: programs of their own, over real sockets."""

import ast
import asyncio
import socket
import threading
from contextlib import ExitStack
from pathlib import Path

import grpc
import pytest

import isthmus
from isthmus.bench import programs
from isthmus.contract.generated import split_pb2 as wire
from isthmus.contract.generated import split_pb2_grpc
from isthmus.errors import DeviceError
from isthmus.tail.model import TailModel

DESCRIPTORS = 64
STARVED = f"""
import resource, runpy, sys
resource.setrlimit(resource.RLIMIT_NOFILE, ({DESCRIPTORS}, {DESCRIPTORS}))
sys.argv[0] = "isthmus"
runpy.run_module("isthmus", run_name="__main__")
"""
READY = r"^ready .*grpc=(?P<grpc>\S+) metrics=(?P<metrics>\S+)"


def stub_on(address):
    channel = grpc.aio.insecure_channel(address, options=[("grpc.use_local_subchannel_pool", 1)])
    return channel, split_pb2_grpc.TailStub(channel)


async def ask(address, bundle, payload):
    """One capture of a new device; its status."""
    channel, stub = stub_on(address)
    async with channel:
        call = stub.Stream(wait_for_ready=True)
        await call.write(wire.ToTail(open=wire.Open(contract_digest=bytes.fromhex(bundle.digest), modes=[wire.MODE_ZSTD])))
        await call.read()
        await call.write(wire.ToTail(capture=wire.Capture(sequence=1, codes=payload)))
        return (await call.read()).answer.status


@pytest.mark.slow
async def test_a_server_without_descriptors_serves_whom_it_has_and_others_when_there_is_room(tiny_bundle, payload):
    arguments = ["-c", STARVED, "serve", str(tiny_bundle.folder), "--grpc-port", "0", "--metrics-port", "0", "--instances", "1"]
    with programs.Program(arguments, ready=READY, name="a starved server") as server, ExitStack() as crowd:
        address = server.match["grpc"]
        host, _, port = address.rpartition(":")
        channel, stub = stub_on(address)
        async with channel:
            call = stub.Stream()
            await call.write(wire.ToTail(open=wire.Open(contract_digest=bytes.fromhex(tiny_bundle.digest), modes=[2])))
            await call.read()
            for _ in range(2 * DESCRIPTORS):
                crowd.enter_context(socket.create_connection((host, int(port)), timeout=10))
            await call.write(wire.ToTail(capture=wire.Capture(sequence=1, codes=payload)))
            assert (await call.read()).answer.status == wire.STATUS_OK
            call.cancel()
        crowd.close()
        async with asyncio.timeout(60):
            assert await ask(address, tiny_bundle, payload) == wire.STATUS_OK


@pytest.mark.parametrize("error", [MemoryError(), DeviceError("the GPU is gone"), RuntimeError("CUDA error 719")])
async def test_a_worker_that_fails_costs_the_frame_at_hand(serve, connect, payload, monkeypatch, error):
    compute, failing = TailModel.compute, threading.Event()

    def fail(self, worker, works):
        if failing.is_set():
            raise error
        return compute(self, worker, works)

    monkeypatch.setattr(TailModel, "compute", fail)
    device = connect(await serve())
    await device.open()
    failing.set()
    answer = await device.ask(1, codes=payload)
    assert (answer.status, answer.decoded, "\n" in answer.message) == (wire.STATUS_FAILED, True, False)
    assert "CUDA" not in answer.message, "what is no message of ours stays in the log"
    failing.clear()
    assert (await device.ask(2, codes=payload, reference=1)).status == wire.STATUS_OK


WALL_CLOCKS = {"time.time", "time.time_ns", "datetime.now", "datetime.utcnow", "date.today", "datetime.today"}
SHOWN = {
    "tail/watching/snapshot.py": "the page shows the time of day",
}


def wall_clocks(path):
    """Lines that read the time of day."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)]
    return [node.lineno for node in calls if ".".join(ast.unparse(node.func).split(".")[-2:]) in WALL_CLOCKS]


def test_a_clock_that_jumps_changes_nothing_because_nobody_reads_it():
    """Deadlines, sessions, limits and pauses count on clocks that only go on; only certificates and tokens have dates."""
    root = Path(isthmus.__file__).parent
    found = {}
    for part in ("tail", "codec"):
        for path in sorted((root / part).rglob("*.py")):
            name = str(path.relative_to(root))
            if not name.startswith("tail/security/") and name not in SHOWN and (lines := wall_clocks(path)):
                found[name] = lines
    assert found == {}
