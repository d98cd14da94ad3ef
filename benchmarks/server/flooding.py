"""A program that asks more than it may: unary calls at a steady rate, whatever becomes of them.

    python benchmarks/server/flooding.py ADDRESS TOKEN_FILE RATE REQUEST_FILE

It begins at once, says `ready` when the first call is over, and ends when its standard input closes: then it prints how many
calls were answered, refused for the limit, and failed otherwise, in how many seconds.
"""

import asyncio
import json
import sys
import time
from collections import Counter
from pathlib import Path

import grpc
import uvloop

METHOD = "/inference.GRPCInferenceService/ModelInfer"
TICK_S = 0.01
OPEN_MAX = 256
"""Calls that are under way: more would only measure this program's memory."""


async def flood(address: str, token: str, rate: float, request: bytes) -> dict[str, float]:
    """Call until standard input closes."""
    counts: Counter[str] = Counter()
    under_way: set[asyncio.Task[None]] = set()
    metadata = (("authorization", f"Bearer {token}"),)
    stopped = asyncio.create_task(asyncio.to_thread(sys.stdin.read))
    async with grpc.aio.insecure_channel(address) as channel:
        call = channel.unary_unary(METHOD)

        async def ask() -> None:
            try:
                await call(request, metadata=metadata)
                counts["answered"] += 1
            except grpc.aio.AioRpcError as error:
                refused = error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
                counts["refused" if refused else "failed"] += 1

        await ask()
        print("ready", flush=True)
        begun = time.monotonic()
        sent = 0
        while not stopped.done():
            due = int((time.monotonic() - begun) * rate) - sent
            for _ in range(min(due, OPEN_MAX - len(under_way))):
                task = asyncio.create_task(ask())
                under_way.add(task)
                task.add_done_callback(under_way.discard)
            sent += due
            await asyncio.sleep(TICK_S)
        spent = time.monotonic() - begun
    return {"seconds": spent, **{name: counts[name] for name in ("answered", "refused", "failed")}}


if __name__ == "__main__":
    address, token_file, rate, request_file = sys.argv[1:]
    token = Path(token_file).read_text(encoding="ascii").strip()
    print(json.dumps(uvloop.run(flood(address, token, float(rate), Path(request_file).read_bytes()))))
