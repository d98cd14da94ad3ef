import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from isthmus.contract.generated import split_pb2 as wire
from isthmus.devices.sampler import Sampling, draw, uniform
from isthmus.errors import DeviceError, RemoteProtocolError

LOGITS = arrays(np.float32, st.integers(1, 60), elements=st.floats(-50, 50, width=32))
SAMPLINGS = st.builds(
    Sampling,
    temperature=st.floats(0, 100),
    top_k=st.integers(0, 70),
    top_p=st.floats(0, 1),
    min_p=st.floats(0, 1),
    repetition_penalty=st.floats(0.01, 100),
    seed=st.integers(0, 2**64 - 1),
    logprobs=st.integers(0, 20),
)


@example(np.array([0, 1], np.float32), Sampling(temperature=5e-324), 0, [])
@given(LOGITS, SAMPLINGS, st.integers(0, 2**32), st.lists(st.integers(-5, 100)))
def test_a_draw_is_a_token_and_the_same_again(logits, sampling, position, answer):
    drawn = draw(logits, sampling, position=position, answer=answer)
    assert 0 <= drawn.id < len(logits)
    assert drawn == draw(logits.copy(), sampling, position=position, answer=answer)


@given(LOGITS, st.integers(0, 99))
def test_without_temperature_the_likeliest_token_is_taken_and_of_equal_ones_the_first(logits, position):
    assert draw(logits, Sampling(seed=position), position=position).id == int(logits.argmax())


@given(LOGITS, st.floats(0.01, 100), st.integers(0, 99))
def test_the_top_token_alone_is_that_of_no_temperature(logits, temperature, position):
    sampling = Sampling(temperature=temperature, top_k=1)
    assert draw(logits, sampling, position=position).id == int(logits.argmax())


@given(LOGITS, st.integers(1, 60), st.integers(0, 99))
def test_only_the_likeliest_k_are_drawn(logits, count, position):
    drawn = draw(logits, Sampling(temperature=5, top_k=count), position=position).id
    assert (logits > logits[drawn]).sum() < count


@given(LOGITS, st.floats(0, 0.99), st.integers(0, 99))
def test_only_the_nucleus_is_drawn(logits, share, position):
    drawn = draw(logits, Sampling(temperature=1, top_p=share), position=position).id
    weights = np.exp(logits.astype(np.float64) - logits.max())
    # By weights: logits that differ in their last bit are equally likely.
    likelier = weights[weights > weights[drawn]].sum() / weights.sum()
    assert likelier < share or likelier == 0


@given(LOGITS, st.floats(0, 1), st.integers(0, 99))
def test_what_is_far_less_likely_than_the_likeliest_is_not_drawn(logits, share, position):
    drawn = draw(logits, Sampling(temperature=1, min_p=share), position=position).id
    assert np.exp(np.float64(logits[drawn]) - logits.max()) >= share * (1 - 1e-12)


def test_tokens_come_as_often_as_they_are_likely():
    logits = np.log(np.array([0.5, 0.3, 0.15, 0.05], np.float32))
    drawn = [draw(logits, Sampling(temperature=1, seed=7), position=position).id for position in range(20_000)]
    np.testing.assert_allclose(np.bincount(drawn) / 20_000, [0.5, 0.3, 0.15, 0.05], atol=0.01)


def test_temperature_flattens_and_sharpens():
    logits = np.log(np.array([0.8, 0.2], np.float32))
    shares = [
        np.mean([draw(logits, Sampling(temperature=one), position=at).id == 0 for at in range(4000)]) for one in (0.5, 1.0, 5.0)
    ]
    np.testing.assert_allclose(shares, [16 / 17, 0.8, 4**0.2 / (4**0.2 + 1)], atol=0.03)


def test_the_penalty_is_on_tokens_of_the_answer_whatever_their_sign():
    logits = np.array([2.0, 1.9, -1.0], np.float32)
    assert draw(logits, Sampling(repetition_penalty=1.5), position=0, answer=[0, 0]).id == 1
    assert draw(np.array([-1.0, -1.1], np.float32), Sampling(repetition_penalty=1.5), position=0, answer=[0]).id == 1
    assert draw(logits, Sampling(), position=0, answer=[0]).id == 0


def test_log_probabilities_are_those_of_the_model():
    logits = np.log(np.array([0.1, 0.6, 0.3], np.float32)) + 4
    drawn = draw(logits, Sampling(temperature=0.3, top_k=1, repetition_penalty=9, logprobs=2), position=0, answer=[1])
    assert [token for token, _ in drawn.likeliest] == [1, 2]
    np.testing.assert_allclose([value for _, value in drawn.likeliest], np.log([0.6, 0.3]), rtol=1e-5)
    assert drawn.logprob == pytest.approx(np.log([0.1, 0.6, 0.3][drawn.id]), rel=1e-5)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_is_no_token(value):
    with pytest.raises(DeviceError, match="position 4"):
        draw(np.array([0.0, value], np.float32), Sampling(), position=4)


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**40))
def test_the_number_behind_a_draw_is_below_one(seed, position):
    assert 0 <= uniform(seed, position) < 1


@given(SAMPLINGS)
def test_the_wire_carries_all_of_them(sampling):
    found = Sampling().told(wire.Sampling.FromString(sampling.message().SerializeToString()))
    assert (found.seed, found.top_k, found.logprobs) == (sampling.seed, sampling.top_k, sampling.logprobs)
    assert found.temperature == pytest.approx(sampling.temperature, rel=1e-6)


def test_what_a_message_leaves_out_stays():
    assert Sampling(temperature=0.5, top_k=9).told(wire.Sampling(top_k=0)) == Sampling(temperature=0.5)


@pytest.mark.parametrize(
    "message",
    [
        wire.Sampling(temperature=-1),
        wire.Sampling(temperature=float("nan")),
        wire.Sampling(top_p=1.5),
        wire.Sampling(min_p=float("inf")),
        wire.Sampling(repetition_penalty=0),
        wire.Sampling(logprobs=21),
    ],
    ids=str,
)
def test_what_cannot_be_sampled_with_is_refused(message):
    with pytest.raises(RemoteProtocolError, match="sampling: "):
        Sampling().told(message)
