import heapq
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.devices import link as links
from isthmus.devices.cost import transfer
from isthmus.devices.cost.transfer import Exchange
from isthmus.devices.lane import DelayLine, Lane


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


class HandClock:
    """Time that passes from call to call."""

    def __init__(self):
        self.now_s, self.calls = 0.0, []

    def time(self):
        return self.now_s

    def call_at(self, when, callback):
        # Nothing is cancelled in a lane that only sends.
        heapq.heappush(self.calls, (when, len(self.calls), callback))
        return SimpleNamespace(cancel=lambda: None)

    def run(self):
        while self.calls:
            self.now_s, _, callback = heapq.heappop(self.calls)
            callback()


@given(up=st.integers(1, 30_000), down=st.integers(1, 2_000), rate_kbit=st.integers(50, 50_000), trip_ms=st.integers(0, 200))
def test_the_shapers_own_lanes_take_as_long(up, down, rate_kbit, trip_ms):
    profile, clock, arrived = links.parse(f"{rate_kbit}kbit/{trip_ms}ms"), HandClock(), {"up": 0, "down": 0}
    back = DelayLine(Lane(clock, profile), lambda item: arrived.update(down=arrived["down"] + len(item)))

    def take(item):
        arrived["up"] += len(item)
        if arrived["up"] == up:
            back.put(bytes(down))

    DelayLine(Lane(clock, profile), take).put(bytes(up))
    clock.run()
    assert arrived == {"up": up, "down": down}
    expected = transfer.duration(profile, Exchange(up_bytes=up, down_bytes=down))
    assert clock.now_s == pytest.approx(expected.value, rel=1e-6, abs=1e-9)
