import numpy as np
import pytest

from isthmus.contract.prepare import Preparation
from isthmus.devices.runtime import Port
from isthmus.errors import ExportError
from isthmus.export.bottlenecks import plain
from isthmus.export.bottlenecks.halves import assembled
from isthmus.export.cutting import cuts
from isthmus.export.cutting.split import split
from isthmus.export.graph.session import Session
from isthmus.export.int8 import attempt as int8
from isthmus.export.samples import Samples, prepared

LARGER = Preparation(width=16, height=16)
SAMPLES = Samples(
    pictures=list(np.random.default_rng(2).integers(0, 256, (12, 16, 16, 3), np.uint8)), labels=None, names=(), origin="noise"
)
FRAMES = prepared(SAMPLES.pictures[:3], LARGER)


def coded_at(model, cut):
    halves = split(model, cuts.find(cuts.enumerate(model), cut))
    return assembled(halves, plain.quantised(halves, SAMPLES, LARGER, bits=4))


@pytest.fixture(scope="module")
def coded(residual_source):
    return coded_at(residual_source.model, "relu6")


@pytest.fixture
def timed(monkeypatch):
    """Let the heads take given times."""

    def give(**times_ms):
        monkeypatch.setattr(int8, "interleaved", lambda _sessions, _frame: times_ms)

    return give


def attempt(coded, choice):
    said = []
    return int8.attempt(coded, SAMPLES, LARGER, FRAMES, choice, on_step=said.append), said


def test_a_faster_head_is_shipped_and_recorded(coded, timed):
    timed(float=2.0, uint8=1.0, int8=3.0)
    made, said = attempt(coded, "auto")
    record = made.record
    assert (record.shipped, record.activations, record.reason) == (True, "uint8", "")
    assert (record.float_ms, record.int8_ms, record.other_ms) == (2.0, 1.0, {"int8": 3.0})
    assert 0 < record.changed_code_share < 0.3
    assert record.changed_code_share_max >= int8.CHANGED_CODES_FLOOR
    assert Session(made.model).outputs == ("codes_0",)
    assert said == [f"int8 head: 1.00 ms, float 2.00 ms, {record.changed_code_share:.1%} of the codes differ"]


@pytest.mark.parametrize(("float_ms", "shipped"), [(0.94, False), (1.0, False), (1.1, True)])
def test_a_head_must_be_clearly_faster_to_be_shipped(coded, timed, float_ms, shipped):
    timed(float=float_ms, uint8=1.0, int8=1.5)
    made, said = attempt(coded, "auto")
    assert made.record.shipped is shipped
    assert (made.model is not None) is shipped
    assert said[0].endswith("not shipped") is not shipped


def test_a_slower_head_is_shipped_where_it_is_wanted_and_said(coded, timed):
    timed(float=1.0, uint8=2.0, int8=3.0)
    made, said = attempt(coded, "on")
    assert made.model is not None
    assert (made.record.shipped, made.record.reason) == (True, "it is slower")
    assert said[0].endswith("it is slower, and shipped all the same")


def test_zero_points_of_zero_are_preferred_where_they_cost_nothing(coded, timed):
    timed(float=2.0, uint8=1.0, int8=1.04)
    assert attempt(coded, "auto")[0].record.activations == "int8"


def test_other_zero_points_are_not_tried_where_they_are_not_taken(coded, timed):
    timed(float=2.0, int8=1.5)
    made = int8.attempt(coded, SAMPLES, LARGER, FRAMES, "auto", kinds=["int8"])
    assert (made.record.activations, made.record.other_ms) == ("int8", {})


def test_off_tries_nothing(coded, monkeypatch):
    monkeypatch.setattr(int8.qdq, "plan", lambda *_: pytest.fail("was tried"))
    assert attempt(coded, "off") == (None, [])


def test_a_network_that_came_in_quantised_is_left_alone(coded, monkeypatch):
    monkeypatch.setattr(int8.qdq, "is_quantised", lambda _head: True)
    made, said = attempt(coded, "on")
    assert (made.model, made.record.shipped) == (None, False)
    assert said == ["no int8 head: the network came in quantised"]


def test_a_head_that_cannot_be_quantised_goes_on_in_float_and_says_why(model_of):
    coded = coded_at(model_of("n (float[batch, 3, 16, 16] x) => (float[batch, 3, 16, 16] y) { t = Relu (x) y = Neg (t) }"), "t")
    reason = "the head has no float32 convolution or matrix product with constant weights"
    made, said = attempt(coded, "auto")
    assert (made.model, made.record.reason, said) == (None, reason, [f"no int8 head: {reason}"])
    with pytest.raises(ExportError, match=f"--int8 on: {reason}; leave it out"):
        attempt(coded, "on")


def test_sessions_take_turns_and_the_first_turn_does_not_count(coded):
    order = []

    class Recorded:
        inputs = (Port(name="x", dtype=np.dtype(np.float32), shape=(None,)),)

        def __init__(self, name):
            self.name = name

        def run(self, feeds):
            order.append((self.name, feeds["x"]))

    found = int8.interleaved({"a": Recorded("a"), "b": Recorded("b")}, 7, rounds=2)
    assert order == [("a", 7), ("b", 7)] * 3
    assert set(found) == {"a", "b"}
