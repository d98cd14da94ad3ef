import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.devices import link as links
from isthmus.devices.cost import transfer
from isthmus.devices.cost.transfer import Exchange


def way(text, up=1000, down=200):
    return transfer.duration(links.parse(text), Exchange(up_bytes=up, down_bytes=down))


def test_bytes_take_their_time_and_both_ends_half_a_round_trip():
    assert way("1mbit/20ms").value == pytest.approx(0.020 + 1200 * 8 / 1e6)
    assert way("unlimited").value == 0


def test_jitter_is_a_bound_and_moves_no_median():
    found = way("1mbit/20ms/5ms")
    assert found.value == way("1mbit/20ms").value
    assert (found.value - found.low, found.high - found.value) == pytest.approx((0.005, 0.005))


@given(size=st.integers(0, 10**6), more=st.integers(1, 10**5))
def test_more_bytes_never_arrive_sooner(size, more):
    assert way("300kbit/10ms", up=size).value < way("300kbit/10ms", up=size + more).value


def test_a_recording_is_begun_everywhere(tmp_path):
    (tmp_path / "rates").write_text("0 1\n10 1\n20 0.1\n")
    found = way(f"trace:{tmp_path}/rates/20ms")
    assert found.low == pytest.approx(0.020 + 1200 * 8 / 1e6)
    assert found.high == pytest.approx(0.020 + 1200 * 8 / 1e5, rel=0.01)
    assert transfer.sending_s(links.parse(f"trace:{tmp_path}/rates/20ms"), Exchange(up_bytes=1000, down_bytes=0)) > 0


def test_an_answer_grows_with_its_outputs():
    assert transfer.answer_bytes([(None, 1000)]) - transfer.answer_bytes([(None, 10)]) == 4 * 990
    assert transfer.exchange(500, 100).wire_bytes == 600 + transfer.CAPTURE_BYTES
