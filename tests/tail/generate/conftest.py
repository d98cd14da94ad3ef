"""A conversation with a real server on a loopback port, as the wire has it."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import grpc
import numpy as np
import pytest

from isthmus.codec.hidden.calibration import of_bundle
from isthmus.codec.hidden.codec import HiddenCodec
from isthmus.codec.payload import Mode
from isthmus.contract.bundle import LanguageBundle
from isthmus.contract.generated import split_pb2 as wire
from isthmus.contract.generated import split_pb2_grpc
from isthmus.devices.decoder.decoder import Decoder

PROMPT = [5, 17, 200, 31, 8, 8, 99, 250, 3, 40]


@dataclass
class Halves:
    """The networks of a bundle here, and the codec between them."""

    bundle: LanguageBundle
    head: Decoder = field(init=False)
    tail: Decoder = field(init=False)
    codec: HiddenCodec = field(init=False)

    def __post_init__(self) -> None:
        self.head, self.tail = (Decoder.of_bundle(self.bundle, name) for name in ("head.onnx", "tail.onnx"))
        self.codec = HiddenCodec(of_bundle(self.bundle, self.bundle.manifest.width))

    def hidden(self, ids: list[int]) -> np.ndarray:
        """float32[row, width] of a text from its begin on."""
        return self.head.run(np.array(ids, np.int64), self.head.new_cache(len(ids)), 0)

    def crossed(self, ids: list[int], mode: Mode = Mode.HIDDEN_FP16) -> np.ndarray:
        """The same as it arrives at the other end."""
        rows = self.hidden(ids)
        return self.codec.decode(self.codec.encode(rows, mode), len(rows))

    def greedy(self, prompt: list[int], count: int, mode: Mode = Mode.HIDDEN_FP16) -> list[int]:
        """Tokens that one conversation alone gets."""
        ids = list(prompt)
        for _ in range(count):
            logits = self.tail.run(self.crossed(ids, mode), self.tail.new_cache(len(ids)), 0)
            ids.append(int(logits[-1].argmax()))
        return ids[len(prompt) :]


class Talk:
    """One stream of a device."""

    def __init__(self, stub: split_pb2_grpc.TailStub, halves: Halves) -> None:
        self.halves = halves
        self.call = stub.Generate()
        self.sequence = 0

    async def send(self, **fields: Any) -> None:
        await self.call.write(wire.Step(**fields))

    async def receive(self) -> wire.StepReply:
        message = await self.call.read()
        assert message is not grpc.aio.EOF, "the server ended the stream"
        return message

    async def open(self, **fields: Any) -> wire.GenerateOpened:
        offer = {
            "contract_digest": bytes.fromhex(self.halves.bundle.digest),
            "device_id": "laptop",
            "modes": [wire.MODE_HIDDEN_FP16, wire.MODE_HIDDEN_INT4],
            "sampling": wire.Sampling(temperature=0),
            **fields,
        }
        await self.send(open=wire.GenerateOpen(**offer))
        return (await self.receive()).opened

    async def rows(self, ids: list[int], pos: int, count: int, **fields: Any) -> None:
        """Send the rows of `ids` from `pos` on."""
        self.sequence += 1
        payload = self.halves.codec.encode(self.halves.hidden(ids)[pos : pos + count], Mode.HIDDEN_FP16)
        step = {"sequence": self.sequence, "pos": pos, "count": count, "hidden": payload, "sample": True, **fields}
        await self.send(rows=wire.Rows(**step))

    async def tokens(self) -> wire.Tokens:
        message = await self.receive()
        assert message.HasField("tokens"), message
        return message.tokens

    async def ask(self, ids: list[int], pos: int = 0, count: int | None = None, **fields: Any) -> wire.Tokens:
        await self.rows(ids, pos, len(ids) - pos if count is None else count, **fields)
        return await self.tokens()

    async def greedy(self, prompt: list[int], count: int) -> list[int]:
        """Have the prompt answered, token by token."""
        ids, pos = list(prompt), 0
        for _ in range(count):
            reply = await self.ask(ids, pos)
            assert reply.status == wire.STATUS_OK, reply
            pos = reply.pos
            ids += reply.ids
        return ids[len(prompt) :]

    async def end(self) -> grpc.StatusCode:
        """Read to the end of the stream."""
        with contextlib.suppress(grpc.aio.AioRpcError):
            while await self.call.read() is not grpc.aio.EOF:
                pass
        return await self.call.code()

    async def details(self) -> str:
        return await self.call.details()


@pytest.fixture(scope="session")
def halves(language_bundle: LanguageBundle) -> Halves:
    return Halves(language_bundle)


@pytest.fixture
def converse(channel_to: Callable[..., grpc.aio.Channel], halves: Halves) -> Callable[..., Talk]:
    """A function that makes a stream to a server."""
    return lambda server, of=halves: Talk(split_pb2_grpc.TailStub(channel_to(server)), of)
