import asyncio
import collections

import grpc
import numpy as np

from isthmus.codec.codec import Codec
from isthmus.contract import tensor
from isthmus.contract.generated import split_pb2 as wire
from isthmus.contract.generated import split_pb2_grpc
from isthmus.devices.runtime import Network

STREAMS, FRAMES, CHANNELS = 200, 15, 20


async def test_two_hundred_streams_get_every_answer_once_and_their_own(serve, channel_to, tiny_bundle):
    server = await serve(queue_max=STREAMS * 3)
    stubs = [split_pb2_grpc.TailStub(channel_to(server)) for _ in range(CHANNELS)]
    codec = Codec(tiny_bundle.manifest.boundary, tiny_bundle.manifest.points)
    random = np.random.default_rng(0)
    codes = random.integers(-8, 8, size=(STREAMS, 4, 4, 4), dtype=np.int8)
    wanted = Network.load(tiny_bundle.path("tail.onnx")).run({"codes": codes})["scores"]

    async def stream(number):
        call = stubs[number % CHANNELS].Stream()
        opening = wire.Open(contract_digest=bytes.fromhex(tiny_bundle.digest), device_id=f"{number}", modes=[wire.MODE_ZSTD])
        await call.write(wire.ToTail(open=opening))
        allowed, sent, answers = (await call.read()).opened.allowed, 0, collections.Counter()
        payload = codec.encode((codes[number],))
        while answers.total() < FRAMES:
            while sent < min(allowed, FRAMES):
                sent += 1
                await call.write(wire.ToTail(capture=wire.Capture(sequence=sent, codes=payload)))
            answer = (await call.read()).answer
            assert answer.status == wire.STATUS_OK
            np.testing.assert_allclose(tensor.unpack(answer.outputs[0])[0], wanted[number], rtol=1e-5)
            answers[answer.sequence] += 1
            allowed = answer.allowed
        await call.write(wire.ToTail(close=wire.Close()))
        assert await call.read() is grpc.aio.EOF
        return answers

    everything = await asyncio.gather(*(stream(number) for number in range(STREAMS)))
    assert all(answers == dict.fromkeys(range(1, FRAMES + 1), 1) for answers in everything)
