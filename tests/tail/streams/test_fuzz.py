"""Whatever bytes a device sends as `ToTail`, the stream ends with one of our statuses, and the next device is served."""

import asyncio
import contextlib

from google.protobuf.message import DecodeError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests import damage

from isthmus.codec.codec import Codec
from isthmus.contract.generated import split_pb2 as wire
from isthmus.contract.limits import Limits
from isthmus.errors import IsthmusError
from isthmus.tail.admission.client import Client
from isthmus.tail.admission.limits import ClientLimits
from isthmus.tail.catalog import Catalog
from isthmus.tail.served import Served
from isthmus.tail.settings import ServerSettings
from isthmus.tail.streams.house import House
from isthmus.tail.streams.sessions import Sessions
from isthmus.tail.streams.stream import DeviceStream
from isthmus.tail.watching.metrics import Metrics

END = object()
captures = st.builds(
    wire.Capture,
    sequence=st.integers(0, 2**64 - 1),
    reference=st.none() | st.integers(0, 2**64 - 1),
    deadline_us=st.none() | st.integers(0, 2**32 - 1),
    point=st.integers(0, 2**32 - 1) | st.integers(0, 2),
    codes=st.binary(max_size=60),
) | st.builds(
    wire.Capture,
    sequence=st.integers(0, 2**64 - 1),
    picture=st.builds(wire.Picture, format=st.sampled_from(["jpeg", "png", "webp", "", "x"]), data=st.binary(max_size=60)),
)
messages = (
    st.builds(wire.ToTail, capture=captures)
    | st.builds(wire.ToTail, open=st.builds(wire.Open, session=st.binary(max_size=20), device_id=st.text(max_size=9)))
    | st.builds(wire.ToTail, evidence=st.builds(wire.Evidence, message=st.text(max_size=9)))
    | st.just(wire.ToTail(close=wire.Close()))
)


@st.composite
def damaged(draw, bundle_digest, good_payload):
    """Messages of a stream as bytes, some of them with a byte changed, cut or added."""
    opening = wire.ToTail(open=wire.Open(contract_digest=bundle_digest, device_id="camera", modes=[2]))
    good = [wire.ToTail(capture=wire.Capture(sequence=sequence, codes=good_payload)) for sequence in (1, 2)]
    sent = [opening, *good, *draw(st.lists(messages, max_size=6))]
    return [damage.damaged(draw, message) for message in sent]


class Pipe:
    """What grpc.aio's context does for a stream: parsed messages in, messages out."""

    def __init__(self, sent):
        self.sent = iter(sent)
        self.received = []

    async def read(self):
        await asyncio.sleep(0)
        return next(self.sent, END)

    async def write(self, message):
        self.received.append(message.SerializeToString())


def parsed(sent):
    """The messages up to the first that is no protobuf, where gRPC ends the stream."""
    for data in sent:
        try:
            yield wire.ToTail.FromString(data)
        except DecodeError:
            return


async def make_house(bundle):
    catalog = Catalog()
    catalog.add(await Served.load(bundle, ServerSettings(instances=1, queue_max=8)))
    sessions = Sessions(count_max=1, bytes_max=1 << 20, idle_s=60, references_kept=4)
    metrics = Metrics(served=lambda: (), sessions=lambda: len(sessions))
    return House(catalog=catalog, sessions=sessions, metrics=metrics, limits=Limits())


@settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_no_message_breaks_the_handler(tiny_bundle, codes, data):
    codec = Codec(tiny_bundle.manifest.boundary, tiny_bundle.manifest.points)
    sent = data.draw(damaged(bytes.fromhex(tiny_bundle.digest), codec.encode(codes)))

    async def serve():
        house = await make_house(tiny_bundle)
        pipe = Pipe(parsed(sent))
        client = Client("camera", ClientLimits(), clock=house.clock)
        with contextlib.suppress(IsthmusError):
            await DeviceStream(house, pipe, client=client, number=1, end_marker=END).serve()
        for served in house.catalog:
            await served.close()
        # There is room for one session, so this fails if the stream still has one.
        house.sessions.attach(pipe, device_id="next", digest="")
        answers = [wire.FromTail.FromString(reply).answer for reply in pipe.received[1:]]
        assert client.in_flight == 0
        assert all(answer.status in (1, 2, 3, 4) for answer in answers)

    asyncio.run(serve())
