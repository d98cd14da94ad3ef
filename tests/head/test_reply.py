import contextlib

import numpy as np
import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from isthmus.contract import tensor
from isthmus.contract.generated import split_pb2 as wire
from isthmus.errors import RemoteProtocolError
from isthmus.head import reply

MICROSECONDS = st.integers(0, 2**32 - 1)


def test_an_answer_is_read_with_outputs_and_times():
    scores = np.arange(6, dtype=np.float32).reshape(1, 6)
    times = wire.ServerTimes(queue_us=1, decode_us=2, compute_us=3, post_us=4, total_us=2000)
    got = reply.read(wire.Answer(sequence=3, status=wire.STATUS_OK, outputs=[tensor.pack("scores", scores)], times=times), 0.005)
    assert got.ok
    assert got.sequence == 3
    np.testing.assert_array_equal(got.outputs["scores"], scores)
    assert got.server_s == {"queue": 1e-6, "decode": 2e-6, "compute": 3e-6, "post": 4e-6}
    assert got.network_s == pytest.approx(0.003)


@given(total_us=MICROSECONDS, round_trip_s=st.floats(0, 1e4))
def test_the_network_never_takes_negative_time_nor_more_than_the_round_trip(total_us, round_trip_s):
    got = reply.read(wire.Answer(times=wire.ServerTimes(total_us=total_us)), round_trip_s)
    assert 0 <= got.network_s <= round_trip_s


@pytest.mark.parametrize("status", [name for name in wire.Status.keys() if name != "STATUS_OK"])  # noqa: SIM118 - an enum
def test_every_other_status_is_not_ok_and_keeps_the_servers_words(status):
    got = reply.read(wire.Answer(status=status, message="because"), 0.0)
    assert not got.ok
    assert got.status == status.removeprefix("STATUS_").lower()
    assert got.message == "because"


def test_a_status_of_a_later_version_is_not_ok():
    later = wire.Answer.FromString(bytes([0x10, 77]))
    assert reply.read(later, 0.0).status == "status 77"


@pytest.mark.parametrize(
    "output",
    [
        wire.Tensor(name="scores", datatype="FP32", shape=[3], data=b"12345678"),
        wire.Tensor(name="scores", datatype="FP33", shape=[2], data=b"12345678"),
        wire.Tensor(name="scores", datatype="FP32", shape=[-2], data=b"12345678"),
        wire.Tensor(name="scores", datatype="FP32", shape=[2**40, 0], data=b""),
    ],
    ids=["too short", "unknown type", "negative axis", "endless axis"],
)
def test_an_output_that_is_not_what_it_claims_is_refused(output):
    with pytest.raises(RemoteProtocolError, match="scores"):
        reply.read(wire.Answer(status=wire.STATUS_OK, outputs=[output]), 0.0)


def test_an_output_that_comes_twice_is_refused():
    twice = [tensor.pack("scores", np.zeros(2, np.float32))] * 2
    with pytest.raises(RemoteProtocolError, match="twice"):
        reply.read(wire.Answer(status=wire.STATUS_OK, outputs=twice), 0.0)


@given(st.binary(max_size=200))
def test_any_bytes_that_parse_give_a_reply_or_a_protocol_error(data):
    try:
        answer = wire.Answer.FromString(data)
    except DecodeError:
        return
    with contextlib.suppress(RemoteProtocolError):
        assert isinstance(reply.read(answer, 1.0).outputs, dict)
