import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.devices.link import LinkProfile, parse
from isthmus.errors import UsageError

times_s = st.floats(0, 1e5, allow_subnormal=False).map(lambda value: round(value, 12))


@st.composite
def profiles(draw) -> LinkProfile:
    round_trip_s = draw(times_s)
    return LinkProfile(
        rate_bit_s=draw(st.none() | st.floats(0.5, 1e13)),
        round_trip_s=round_trip_s,
        jitter_s=draw(times_s.filter(lambda value: value <= round_trip_s) | st.just(round_trip_s)),
        outages=tuple(draw(st.lists(st.tuples(times_s, times_s.filter(bool)), max_size=3))),
    )


@given(profiles())
def test_text_of_a_profile_reads_back_as_the_same_profile(profile):
    assert parse(str(profile)) == profile
    assert parse(str(profile)).name == str(profile)


@pytest.mark.parametrize(
    ("text", "rate_bit_s", "round_trip_s", "jitter_s"),
    [
        ("1mbit/20ms", 1e6, 0.020, 0.0),
        ("5mbit/20ms±3ms", 5e6, 0.020, 0.003),
        ("5mbit/20ms/3ms", 5e6, 0.020, 0.003),
        ("250kbit/1.5s", 250e3, 1.5, 0.0),
        (" 1Gbit / 150us ", 1e9, 150e-6, 0.0),
        ("2mbit", 2e6, 0.0, 0.0),
        ("unlimited", None, 0.0, 0.0),
        ("unlimited/40ms", None, 0.040, 0.0),
    ],
)
def test_known_texts_have_their_values(text, rate_bit_s, round_trip_s, jitter_s):
    assert parse(text) == LinkProfile(rate_bit_s=rate_bit_s, round_trip_s=round_trip_s, jitter_s=jitter_s)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("5000kbit/0.02s", "5mbit/20ms"),
        ("1mbit/20ms±3ms", "1mbit/20ms/3ms"),
        ("0.5mbit/0ms", "500kbit/0ms"),
        ("2gbit", "2gbit/0ms"),
    ],
)
def test_canonical_text_takes_the_largest_unit(text, canonical):
    assert str(parse(text)) == canonical


def test_outages_are_start_and_duration():
    assert parse("1mbit/40ms!10s+3s!1m" + "s+500us").outages == ((10.0, 3.0), (0.001, 0.0005))


@pytest.mark.parametrize(
    "text",
    [
        *("", "/", "fast", "5", "mbit", "5mb/20ms", "5mbit/20", "5mbit/20ms/3ms/1ms", "-5mbit/20ms", "5mbit/-20ms", "5mbit/"),
        *(
            "1e6mbit",
            "0mbit/20ms",
            "nanmbit",
            "infmbit",
            "5mbit/20ms/30ms",
            "\u0665mbit/20ms",
            "1mbit!10s",
            "1mbit!10s+0s",
            "1mbit!",
        ),
        *("9" * 41 + "mbit", "5mbit\n/20ms\x00"),
    ],
)
def test_other_texts_are_refused_in_one_line(text):
    with pytest.raises(UsageError) as refusal:
        parse(text)
    assert "\n" not in str(refusal.value).replace(repr(text), "")


@given(st.text(max_size=30))
def test_no_text_breaks_the_parser_otherwise(text):
    try:
        parse(text)
    except UsageError:
        return


@pytest.mark.parametrize("rate_bit_s", [0.0, -1.0, math.nan, math.inf])
def test_a_rate_that_no_link_has_is_refused(rate_bit_s):
    with pytest.raises(UsageError, match="rate"):
        LinkProfile(rate_bit_s=rate_bit_s)


def test_profiles_that_differ_in_name_only_are_equal():
    assert LinkProfile(name="wifi", rate_bit_s=1e6) == LinkProfile(name="lte", rate_bit_s=1e6)


@pytest.fixture
def trace_file(tmp_path):
    """A recording whose name holds all that a link can hold."""
    path = tmp_path / "a b@5s" / "lte!1s+1s,Ä" / "20ms"
    path.parent.mkdir(parents=True)
    path.write_text("0 1\n1 1\n2 3\n")
    return path


@pytest.mark.parametrize(
    ("rest", "offset_s", "round_trip_s", "jitter_s", "outages"),
    [
        ("@0s/0ms/0ms", 0.0, 0.0, 0.0, ()),
        ("@90s/40ms", 90.0, 0.040, 0.0, ()),
        ("/40ms/3ms", 0.0, 0.040, 0.003, ()),
        ("@2s/40ms±3ms!1s+2s!5s+1s", 2.0, 0.040, 0.003, ((1.0, 2.0), (5.0, 1.0))),
    ],
)
def test_a_trace_has_offset_delays_and_outages(trace_file, rest, offset_s, round_trip_s, jitter_s, outages):
    found = parse(f" trace:{trace_file}{rest}\n")
    assert (found.trace_file, found.trace_offset_s) == (str(trace_file), offset_s)
    assert (found.round_trip_s, found.jitter_s, found.outages) == (round_trip_s, jitter_s, outages)
    assert found.mean_rate_bit_s == 2e6
    assert parse(str(found)) == found


@pytest.mark.parametrize(
    ("text", "words"),
    [("trace:", "names no file"), ("trace:gone/40ms", "gone is not there"), ("trace:gone/40ms/50ms", "jitter")],
)
def test_a_trace_that_cannot_be_is_refused(text, words):
    with pytest.raises(UsageError, match=words):
        parse(text)


def test_a_rate_beside_a_trace_is_refused(trace_file):
    with pytest.raises(UsageError, match="give one of them"):
        LinkProfile(rate_bit_s=1e6, trace=parse(f"trace:{trace_file}/0ms/0ms").trace)
