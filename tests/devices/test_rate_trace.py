import os
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.devices.rate_trace import PACKET_PAYLOAD_BYTES, RateTrace, read_trace
from isthmus.errors import UsageError

DATA = Path(os.environ.get("ISTHMUS_DATA", Path(__file__).resolve().parents[3] / "shared" / "data")) / "traces"
spans = st.lists(st.tuples(st.floats(0.001, 5), st.just(0.0) | st.floats(1e3, 1e7)), min_size=1, max_size=6).filter(
    lambda found: any(rate for _, rate in found)
)


@pytest.fixture
def write(tmp_path):
    """A function that writes a trace and reads it."""

    def make(text, name="a.trace"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return read_trace(path)

    return make


@given(spans, st.floats(0, 30), st.integers(1, 10**6))
def test_what_was_sent_by_a_time_has_just_passed_then(found, start_s, size_bytes):
    trace = RateTrace.of_rates(found)
    sent_s = trace.sent_at(start_s, size_bytes)
    assert sent_s >= start_s
    assert trace.passed_by(sent_s) - trace.passed_by(start_s) == pytest.approx(8 * size_bytes, rel=1e-6)


@given(spans, st.floats(0, 30), st.lists(st.integers(0, 10**5), min_size=2, max_size=5))
def test_parts_sent_one_after_the_other_take_as_long_as_the_whole(found, start_s, sizes):
    trace, sent_s = RateTrace.of_rates(found), start_s
    for size in sizes:
        sent_s = trace.sent_at(sent_s, size)
    assert sent_s == pytest.approx(trace.sent_at(start_s, sum(sizes)), rel=1e-6)


def test_a_pause_is_waited_for_and_the_trace_begins_anew():
    trace = RateTrace.of_rates([(1, 8000), (2, 0)])
    assert trace.sent_at(0.5, 500) == 1.0
    assert trace.sent_at(0.5, 501) == pytest.approx(3.001)
    assert trace.sent_at(2.0, 3000) == pytest.approx(10.0)
    assert (trace.length_s, trace.mean_rate_bit_s) == (3, pytest.approx(8000 / 3))


def test_seconds_and_mbit_hold_since_the_line_before(write):
    trace = write("0.0\t9.9\n1.0 1\n\n3.0 0\n4.0 2\n")
    assert [trace.passed_by(time) for time in (1, 2, 3, 4, 5)] == [1e6, 1e6, 1e6, 3e6, 4e6]


def test_packets_pass_in_the_millisecond_that_ends_at_their_time(write):
    trace = write("0\n2\n2\n5\n")
    packet = 8 * PACKET_PAYLOAD_BYTES
    assert [trace.passed_by(ms / 1000) / packet for ms in range(6)] == pytest.approx([0, 1, 3, 3, 3, 4])
    assert trace.sent_at(0.002, PACKET_PAYLOAD_BYTES) == pytest.approx(0.005)
    assert trace.length_s == 0.005


def test_one_packet_a_millisecond_is_12_mbit_on_the_wire(write):
    assert write("1\n").mean_rate_bit_s == pytest.approx(12e6 * PACKET_PAYLOAD_BYTES / 1500)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "empty"),
        ("\n \n", "empty"),
        ("1 2 3\n", "line 1 has 3 numbers"),
        ("0 1\n1\n", "line 2 has 1 numbers, the first line has 2"),
        ("0 1\n1 fast\n", "line 2 is '1 fast', no number"),
        ("0 1\n1 nan\n", "line 2 is '1 nan'"),
        ("0 1\n1 -1\n", "line 2 is '1 -1'"),
        ("5\n4\n", "line 2 is 4 ms after 5 ms"),
        ("1.5\n", "whole milliseconds"),
        ("0 1\n0 1\n", "line 2 is at 0 s after 0 s"),
        ("0 1\n", "one line"),
        ("0 1\n1 0\n", "nothing ever passes"),
        (b"\x1f\x8b\x08", "byte 1 is 139"),
    ],
)
def test_what_is_no_trace_is_refused_with_its_line(write, text, words):
    with pytest.raises(UsageError, match=words) as refusal:
        write(text)
    assert str(refusal.value).startswith("trace /")
    assert "\n" not in str(refusal.value)


def test_a_trace_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(UsageError, match="is not there"):
        read_trace(tmp_path / "none")
    with pytest.raises(UsageError, match="cannot be read: Is a directory"):
        read_trace(tmp_path)


@given(st.binary(max_size=60))
def test_no_bytes_break_the_reader_otherwise(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "any.trace"
    path.write_bytes(data)
    try:
        read_trace(path)
    except UsageError:
        return


@pytest.mark.parametrize(("archive", "count", "mean_mbit_s"), [("mahimahi", 4, 4.36), ("pensieve_train", 127, 1.32)])
def test_recordings_have_the_rates_that_are_known_of_them(tmp_path, archive, count, mean_mbit_s):
    path = DATA / f"{archive}_traces.tar.gz"
    if not path.is_file():
        pytest.skip(f"no traces at {DATA}; set ISTHMUS_DATA")
    with tarfile.open(path) as packed:
        packed.extractall(tmp_path, filter="data")
    traces = [read_trace(file) for file in tmp_path.rglob("*") if file.is_file() and "README" not in file.name]
    # Of Mahimahi's packets the headers are taken off: 4.36 would be 1500/1448 of it with them.
    assert len(traces) == count
    mean = sum(trace.mean_rate_bit_s for trace in traces) / count / 1e6
    assert mean == pytest.approx(mean_mbit_s * (PACKET_PAYLOAD_BYTES / 1500 if archive == "mahimahi" else 1), abs=0.02)
