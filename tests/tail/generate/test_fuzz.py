"""Whatever bytes a device sends as `Step`, the conversation ends with one of our statuses, and nothing of it stays behind."""

import asyncio
import contextlib

from google.protobuf.message import DecodeError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests import damage
from tests.tail.generate.conftest import PROMPT

from isthmus.codec.payload import Mode
from isthmus.contract.generated import split_pb2 as wire
from isthmus.contract.limits import Limits
from isthmus.errors import IsthmusError
from isthmus.tail.admission.client import Client
from isthmus.tail.admission.limits import ClientLimits
from isthmus.tail.catalog import Catalog
from isthmus.tail.generate.conversation import Conversation
from isthmus.tail.generate.served import ServedLanguage
from isthmus.tail.generate.sessions import LanguageSessions
from isthmus.tail.settings import ServerSettings
from isthmus.tail.streams.house import House
from isthmus.tail.streams.sessions import Sessions
from isthmus.tail.watching.metrics import Metrics

END = object()
counts = st.integers(0, 12) | st.integers(0, 2**32 - 1)
samplings = st.builds(
    wire.Sampling,
    temperature=st.none() | st.floats(width=32),
    top_k=st.none() | counts,
    top_p=st.none() | st.floats(width=32),
    seed=st.none() | st.integers(0, 2**64 - 1),
    logprobs=counts,
)
rows = st.builds(
    wire.Rows,
    sequence=st.integers(0, 6) | st.integers(0, 2**64 - 1),
    pos=counts,
    count=counts,
    hidden=st.binary(max_size=200),
    draft=st.lists(counts, max_size=2),
    sample=st.booleans(),
    deadline_us=st.none() | st.integers(0, 2**32 - 1),
    sampling=st.none() | samplings,
    answer=st.lists(counts, max_size=3),
) | st.builds(wire.Rows, sequence=counts, count=counts, token_ids=st.builds(wire.TokenIds, ids=st.lists(counts, max_size=9)))
messages = (
    st.builds(wire.Step, rows=rows)
    | st.builds(wire.Step, open=st.builds(wire.GenerateOpen, layout=st.text(max_size=9), sampling=samplings))
    | st.builds(wire.Step, cancel=st.builds(wire.Cancel, sequence=st.integers(0, 2**64 - 1)))
    | st.just(wire.Step(close=wire.Close()))
)


@st.composite
def damaged(draw, digest, payload):
    """Messages of a conversation as bytes, some of them with a byte changed, cut or added."""
    opening = wire.GenerateOpen(
        contract_digest=digest,
        positions_expected=draw(counts),
        modes=draw(st.lists(st.integers(0, 40), max_size=4)),
        sampling=draw(st.none() | samplings),
    )
    whole = {"count": len(PROMPT), "hidden": payload, "sample": True}
    good = [wire.Step(rows=wire.Rows(sequence=number, sampling=draw(st.none() | samplings), **whole)) for number in (1, 2)]
    return [damage.damaged(draw, message) for message in [wire.Step(open=opening), *good, *draw(st.lists(messages, max_size=6))]]


class Pipe:
    """What grpc.aio's context does for a stream: parsed messages in, messages out."""

    def __init__(self, sent):
        self.sent = iter(sent)
        self.received = []

    async def read(self):
        await asyncio.sleep(0)
        return next(self.sent, END)

    async def write(self, message):
        self.received.append(wire.StepReply.FromString(message.SerializeToString()))


def parsed(sent):
    """The messages up to the first that is no protobuf, where gRPC ends the stream."""
    for data in sent:
        try:
            yield wire.Step.FromString(data)
        except DecodeError:
            return


@settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_no_message_breaks_a_conversation(halves, data):
    payload = halves.codec.encode(halves.hidden(PROMPT), Mode.HIDDEN_FP16)
    sent = data.draw(damaged(bytes.fromhex(halves.bundle.digest), payload))

    async def serve():
        catalog = Catalog()
        catalog.add(await ServedLanguage.load(halves.bundle, ServerSettings(instances=1)))
        frames = Sessions(count_max=1, bytes_max=1 << 20, idle_s=60, references_kept=4)
        metrics = Metrics(served=lambda: (), sessions=lambda: len(frames))
        house = House(catalog=catalog, sessions=frames, metrics=metrics, limits=Limits())
        sessions = LanguageSessions(bytes_max=1 << 24, client_bytes_max=None, lease_s=0)
        pipe, client = Pipe(parsed(sent)), Client("laptop", ClientLimits(), clock=house.clock)
        with contextlib.suppress(IsthmusError):
            await Conversation(house, sessions, pipe, client=client, number=1, end_marker=END).serve()
        for served in catalog:
            await served.close()
        # What was under way when the stream ended is told on the loop.
        for _ in range(9):
            await asyncio.sleep(0)
        sessions.sweep()
        replies = [reply.tokens for reply in pipe.received if reply.HasField("tokens")]
        assert (client.in_flight, len(sessions), sessions.size_bytes) == (0, 0, 0)
        assert all(reply.status in (1, 2, 3, 4, 6) for reply in replies)

    asyncio.run(serve())
