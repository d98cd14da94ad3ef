import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.devices.energy.quantity import Energy, above_idle
from isthmus.errors import DeviceError

WORK = Energy(
    kind="measured",
    joules=20.0,
    doubt_j=0.5,
    source="rapl package-0",
    scope="package",
    rate_hz=100.0,
    samples=400,
    duration_s=4.0,
)


def idle(watts, *, doubt_w=0.0):
    return dataclasses.replace(WORK, joules=watts * 2, doubt_j=doubt_w * 2, duration_s=2.0)


def test_idle_power_is_taken_away_and_its_drift_is_doubt():
    found = above_idle(WORK, idle(1.0), idle(1.5))
    assert (found.idle_w, found.above_idle_j) == (1.25, 20.0 - 1.25 * 4)
    assert found.above_idle_doubt_j == pytest.approx(0.5 + 0.25 * 4)


@given(before=st.floats(0.1, 5), after=st.floats(0.1, 5), share=st.floats(0, 1))
def test_whatever_idle_power_was_in_between_is_within_the_doubt(before, after, share):
    found = above_idle(WORK, idle(before), idle(after))
    true_j = WORK.joules - (before + share * (after - before)) * WORK.duration_s
    assert abs(found.above_idle_j - true_j) <= found.above_idle_doubt_j + 1e-9


def test_many_inferences_share_everything():
    found = above_idle(WORK, idle(1.0), idle(1.0)).per_inference(100)
    assert (found.joules, found.doubt_j, found.above_idle_j, found.duration_s) == (0.2, 0.005, 0.16, 0.04)
    assert found.watts == pytest.approx(WORK.watts)


@pytest.mark.parametrize(("rate_hz", "works"), [(100.0, False), (349.9, False), (350.0, True)])
def test_a_single_inference_needs_a_fast_sensor(rate_hz, works):
    one = dataclasses.replace(WORK, rate_hz=rate_hz)
    if works:
        assert one.per_inference(1).joules == 20.0
        return
    with pytest.raises(DeviceError, match="a single inference needs 350; measure over many"):
        one.per_inference(1)


def test_too_few_samples_are_refused():
    with pytest.raises(DeviceError, match="gave 9 new values in 4 s, 10 are needed"):
        dataclasses.replace(WORK, samples=9).per_inference(100)


def test_energy_of_no_inference_is_refused():
    with pytest.raises(DeviceError, match="no inference"):
        WORK.per_inference(0)


def test_a_result_file_has_no_bare_number():
    found = WORK.with_note("both").as_json()
    assert (found["kind"], found["value"], found["low"], found["high"]) == ("measured", 20.0, 19.5, 20.5)
    assert (found["source"], found["scope"], found["rate_hz"], found["note"]) == ("rapl package-0", "package", 100.0, "both")
