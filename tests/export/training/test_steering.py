import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.errors import UsageError
from isthmus.export.training.steering import ENVELOPE_BITS, WEIGHT_RANGE, Steering

CODES = 1176


def steering(target_bytes=300, weight=0.05):
    return Steering(target_bytes, codes=CODES, bits=4, weight=weight)


def payload_bytes(bits):
    return (bits * CODES + ENVELOPE_BITS) / 8


def trained(one, *, dearest, hardness, steps=1500, photos=1.0):
    """Codes whose cost falls with the logarithm of the weight, and follows it slowly, as those of a network do."""
    bits = dearest
    for step in range(steps):
        wanted = dearest / (1 + hardness * one.weight)
        bits += 0.02 * (wanted - bits)
        one.saw(bits)
        if step % 50 == 49:
            one.renewed(photos * bits, photos * bits)
    return photos * bits


@given(
    target_bytes=st.integers(min_value=150, max_value=400),
    hardness=st.floats(min_value=0.5, max_value=20),
    weight=st.floats(min_value=1e-3, max_value=5),
)
def test_the_target_is_met_from_any_weight(target_bytes, hardness, weight):
    found = trained(steering(target_bytes, weight), dearest=3.2, hardness=hardness)
    assert payload_bytes(found) == pytest.approx(target_bytes, rel=0.05)


def test_whole_photos_count_not_the_crops_that_are_trained_on():
    found = trained(steering(300), dearest=3.2, hardness=2.0, photos=1.2)
    assert payload_bytes(found) == pytest.approx(300, rel=0.05)


def test_tables_that_make_codes_cheaper_are_no_error_of_the_codes():
    one, other = steering(), steering()
    for bits in (2.5, 2.5, 2.5):
        one.saw(bits)
        other.saw(2 * bits)
    other.renewed(5.0, 2.5)
    one.saw(2.5)
    other.saw(2.5)
    one.renewed(2.5, 2.5)
    assert one.state()["seen"] == pytest.approx(other.state()["seen"])


def test_what_cannot_be_met_ends_at_a_bound():
    one = steering(100)
    assert trained(one, dearest=3.2, hardness=0.01) > 2.8
    assert one.weight == WEIGHT_RANGE[1]
    one = steering(500)
    trained(one, dearest=1.0, hardness=0.01)
    assert one.weight == WEIGHT_RANGE[0]


def test_a_state_that_comes_back_goes_on_the_same_way():
    one, other = steering(), steering(weight=3.0)
    trained(one, dearest=3.0, hardness=1.0, steps=120)
    other.restore(one.state())
    assert trained(one, dearest=3.0, hardness=1.0, steps=60) == trained(other, dearest=3.0, hardness=1.0, steps=60)
    assert one.weight == other.weight


@pytest.mark.parametrize(
    ("target_bytes", "words"), [(7, "its envelope alone takes 8; allow more"), (596, "at most 588; allow fewer, or give more")]
)
def test_a_target_that_no_payload_can_have_is_refused(target_bytes, words):
    with pytest.raises(UsageError, match=words):
        steering(target_bytes)
