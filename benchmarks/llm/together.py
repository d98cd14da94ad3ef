"""Tokens per second of one conversation and of many at a time, from one server process.

The devices are streams of one process that send hidden states packed beforehand, so that what is measured is the server. What
is in them does not matter: the server computes and draws all the same, and the next row goes out when the token comes back.
"""

import asyncio
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self

import grpc
import numpy as np
from benchmarks.server.process import CpuClock

from isthmus.bench import programs
from isthmus.codec.hidden.calibration import of_bundle
from isthmus.codec.hidden.codec import HiddenCodec
from isthmus.codec.payload import Mode
from isthmus.contract.bundle import LanguageBundle
from isthmus.contract.generated import split_pb2 as wire
from isthmus.contract.generated import split_pb2_grpc
from isthmus.head.conversation.exchange import greeting

MODE = Mode.HIDDEN_INT8
PROMPT_ROWS = 16
MANY = 16
TICK_S = 0.01
"""In which the system counts processor time: where none was counted, up to one was spent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """What the devices send.

    Attributes:
        prompt, row: payloads of `PROMPT_ROWS` rows and of one.
    """

    hello: wire.GenerateOpen
    prompt: bytes
    row: bytes

    @classmethod
    def of(cls, bundle: LanguageBundle, tokens: int) -> Self:
        """For conversations of so many tokens."""
        manifest = bundle.manifest
        codec = HiddenCodec(of_bundle(bundle, manifest.width))
        rows = np.random.default_rng(5).normal(0, 1, (PROMPT_ROWS, codec.width)).astype(np.float32)
        hello = greeting(
            manifest.id,
            bundle.digest,
            modes=[MODE],
            device_id="benchmark",
            layout=manifest.layout,
            sampling=wire.Sampling(temperature=0),
            positions=PROMPT_ROWS + tokens,
        )
        return cls(hello=hello, prompt=codec.encode(rows, MODE), row=codec.encode(rows[:1], MODE))


class Talk:
    """One conversation of a device that computes nothing."""

    def __init__(self, channel: grpc.aio.Channel, material: Material) -> None:
        self._call = split_pb2_grpc.TailStub(channel).Generate()
        self._material = material
        self._sequence = self._pos = 0

    async def begin(self) -> None:
        """Open it and have the prompt computed."""
        await self._call.write(wire.Step(open=self._material.hello))
        opened = await self._call.read()
        if opened is grpc.aio.EOF or opened.WhichOneof("message") != "opened":
            raise RuntimeError(f"the conversation was not opened: {opened}")
        await self._ask(self._material.prompt, PROMPT_ROWS)

    async def go_on(self, tokens: int) -> None:
        """Have so many tokens drawn, one after the other."""
        for _ in range(tokens):
            await self._ask(self._material.row, 1)

    async def end(self) -> None:
        """Close it."""
        await self._call.write(wire.Step(close=wire.Close()))
        await self._call.done_writing()
        while await self._call.read() is not grpc.aio.EOF:
            pass

    async def _ask(self, payload: bytes, count: int) -> None:
        self._sequence += 1
        step = wire.Rows(sequence=self._sequence, pos=self._pos, count=count, hidden=payload, sample=True)
        await self._call.write(wire.Step(rows=step))
        while True:
            reply = await self._call.read()
            if reply is grpc.aio.EOF or reply.WhichOneof("message") in ("error", "drain"):
                raise RuntimeError(f"the server ended the conversation: {reply}")
            if reply.WhichOneof("message") == "tokens":
                break
        if reply.tokens.status != wire.STATUS_OK:
            raise RuntimeError(f"answered {wire.Status.Name(reply.tokens.status)}: {reply.tokens.message}")
        self._pos = reply.tokens.pos


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """Of one measurement: tokens per second of all conversations together, and processor time of the server per token."""

    tokens_per_s: float
    cpu_ms: float


async def stretch(address: str, pid: int, material: Material, *, conversations: int, tokens: int) -> Stretch:
    """So many conversations at once, each of so many tokens; prompts are computed before the clock starts."""
    async with grpc.aio.insecure_channel(address) as channel:
        talks = [Talk(channel, material) for _ in range(conversations)]
        await asyncio.gather(*(talk.begin() for talk in talks))
        clock, began = CpuClock(pid), time.perf_counter()
        await asyncio.gather(*(talk.go_on(tokens) for talk in talks))
        seconds, cpu_s = time.perf_counter() - began, max(TICK_S, clock.spent_s())
        await asyncio.gather(*(talk.end() for talk in talks))
    made = conversations * tokens
    return Stretch(tokens_per_s=made / seconds, cpu_ms=1e3 * cpu_s / made)


def measure(bundle: LanguageBundle, *, rounds: int, tokens: int, many: int = MANY) -> list[dict[str, Any]]:
    """Rounds in which one and many take turns; a row for each, and one for the ratio of medians.

    Raises:
        RuntimeError: the server refuses or ends a conversation.
    """
    material = Material.of(bundle, tokens)
    found: dict[int, list[Stretch]] = {1: [], many: []}

    async def all_rounds(address: str, pid: int) -> None:
        await stretch(address, pid, material, conversations=many, tokens=2)
        for _ in range(rounds):
            for count, stretches in found.items():
                stretches.append(await stretch(address, pid, material, conversations=count, tokens=tokens))

    with programs.server(bundle.origin, extra=("--pictures", "off")) as server:
        asyncio.run(all_rounds(server.match["grpc"], server.pid))
    return rows(bundle.manifest.tail.weights, found)


def rows(weights: str, found: dict[int, list[Stretch]]) -> list[dict[str, Any]]:
    """Medians over the rounds; `gain` is that of the ratios within each round."""
    (one, many) = found.values()
    gains = [after.tokens_per_s / before.tokens_per_s for before, after in zip(one, many, strict=True)]
    savings = [before.cpu_ms / after.cpu_ms for before, after in zip(one, many, strict=True)]
    told: list[dict[str, Any]] = [
        {
            "kind": "together",
            "weights": weights,
            "conversations": count,
            "rounds": len(stretches),
            "tokens_per_s": _median(one.tokens_per_s for one in stretches),
            "cpu_ms": _median(one.cpu_ms for one in stretches),
            "gain": _median(gains) if stretches is many else 1.0,
            "gain_least": min(gains) if stretches is many else 1.0,
            "gain_most": max(gains) if stretches is many else 1.0,
            "cpu_gain": _median(savings) if stretches is many else 1.0,
        }
        for count, stretches in found.items()
    ]
    return told


def _median(values: Iterable[float]) -> float:
    return float(np.median(list(values)))
