"""Whatever bytes come as `ModelInferRequest`, the call ends with one of our statuses, and the next one is answered."""

import asyncio
import random
from collections import Counter

import grpc

from isthmus.contract.generated import open_inference_pb2 as wire

ROUNDS, AT_ONCE, SEED = 60, 25, 20260
METHOD = "/inference.GRPCInferenceService/ModelInfer"
TEMPTING = [b"\0", b"\x7f", b"\xff", b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", b"\x80" * 9 + b"\x01", b"\x80\x80\x80\x80\x10"]
"""Zero, the largest of a byte, -1, the smallest of 64 bits, 2^32 as varints."""


def damage(data, dice):
    """One to three bytes or pieces changed, cut, added or doubled; mostly where the fields before the tensors' bytes are."""
    data = bytearray(data)
    for _ in range(dice.randint(1, 3)):
        reach = min(len(data), 60) if dice.randrange(4) else len(data)
        place, end = sorted(dice.randrange(reach + 1) for _ in range(2))
        kind = dice.randrange(6)
        if kind == 0 and place < len(data):
            data[place] ^= 1 << dice.randrange(8)
        elif kind == 1:
            data[place:place] = dice.choice(TEMPTING)
        elif kind == 2:
            data[place : place + 1] = dice.choice(TEMPTING)
        elif kind == 3:
            del data[place : min(end, place + 8)]
        elif kind == 4:
            data[place:place] = data[place:end]
        elif dice.randrange(4) == 0:
            del data[place:]
    return bytes(data)


def sound_requests(ask, codes, pictures):
    listed = ask("tiny", codes=codes[:1])
    del listed.raw_input_contents[:]
    listed.inputs[0].contents.int_contents.extend(codes[0].ravel().tolist())
    parameters = ask("tiny", codes=codes[:2], version="1", request_id="one")
    parameters.parameters["timeout"].int64_param = 1_000_000
    parameters.outputs.add(name="scores")
    return [
        request.SerializeToString()
        for request in (ask("tiny", codes=codes), ask("tiny_whole", image=pictures), listed, parameters)
    ]


async def test_no_bytes_break_the_server(serve, channel_to, client_of, ask, golden_frames, queued):
    server, dice, statuses, details = await serve(), random.Random(SEED), Counter(), set()
    sound = sound_requests(ask, golden_frames[0], golden_frames[1][:1])
    call = channel_to(server).unary_unary(METHOD)

    async def status_of(data):
        try:
            wire.ModelInferResponse.FromString(await call(data))
        except grpc.aio.AioRpcError as error:
            details.add(error.details())
            return error.code().name
        return "OK"

    assert [await status_of(data) for data in sound] == ["OK"] * len(sound)
    for _ in range(ROUNDS):
        batch = [damage(dice.choice(sound), dice) for _ in range(AT_ONCE)]
        statuses.update(await asyncio.gather(*map(status_of, batch)))
    assert set(statuses) <= {"OK", "INVALID_ARGUMENT", "NOT_FOUND", "DEADLINE_EXCEEDED"}
    assert min(statuses[name] for name in ("OK", "INVALID_ARGUMENT", "NOT_FOUND")) > 20
    assert [await status_of(data) for data in sound] == ["OK"] * len(sound)
    assert not [said for said in details if "\n" in said or "the server failed" in said]
    assert (queued(server), server._inference._calls) == (0, 0)
