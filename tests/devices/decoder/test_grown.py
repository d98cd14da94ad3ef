import numpy as np
import pytest

from isthmus.devices.decoder.cache import GrownCache
from isthmus.devices.decoder.decoder import Decoder
from isthmus.devices.decoder.step import Step
from isthmus.errors import LocalProtocolError


@pytest.fixture(scope="session")
def grown_head(traced_bundle):
    """The head of a model whose networks give their caches anew."""
    return Decoder.of_bundle(traced_bundle, "head.onnx", slots=4)


@pytest.fixture(scope="session")
def grown_tail(traced_bundle):
    """The tail that belongs to it."""
    return Decoder.of_bundle(traced_bundle, "tail.onnx", slots=4)


def test_calls_of_any_number_of_rows_give_what_one_call_gives(grown_head, ids):
    cache = grown_head.new_cache(64)
    whole = grown_head.run(ids, grown_head.new_cache(64), 0)
    parts = [grown_head.run(ids[first:last], cache, first) for first, last in ((0, 7), (7, 8), (8, 40))]
    np.testing.assert_allclose(np.concatenate(parts), whole, atol=1e-5)
    assert cache.length == 40


def test_what_a_cache_held_behind_a_position_is_forgotten(grown_head, ids):
    cache = grown_head.new_cache(64)
    grown_head.run(ids, cache, 0)
    again = grown_head.run(ids[10:], cache, 10)
    np.testing.assert_allclose(again, grown_head.run(ids, grown_head.new_cache(64), 0)[10:], atol=1e-5)


def test_only_the_last_rows_get_logits_where_that_is_asked_for(grown_tail):
    rows = np.random.default_rng(0).normal(size=(9, 64)).astype(np.float32)
    whole = grown_tail.run(rows, grown_tail.new_cache(64), 0)
    np.testing.assert_allclose(grown_tail.run(rows, grown_tail.new_cache(64), 0, keep=2), whole[-2:], atol=1e-5)
    assert whole.shape == (9, 300)


def test_rows_of_several_sequences_are_answered_in_their_order(grown_head, ids):
    caches = [grown_head.new_cache(64) for _ in range(3)]
    for index, cache in enumerate(caches):
        grown_head.run(ids[: 5 + index], cache, 0)
    steps = [Step(ids[30:31], cache, cache.length) for cache in caches]
    answers = grown_head.run_together(steps)
    for index, answer in enumerate(answers):
        cache = grown_head.new_cache(64)
        grown_head.run(ids[: 5 + index], cache, 0)
        np.testing.assert_array_equal(answer, grown_head.run(ids[30:31], cache, 5 + index))


def test_a_larger_cache_goes_on_where_a_smaller_one_was(grown_head, ids):
    small, large = grown_head.new_cache(16), grown_head.new_cache(64)
    grown_head.run(ids[:16], small, 0)
    large.take_over(small)
    np.testing.assert_allclose(
        grown_head.run(ids[16:], large, 16), grown_head.run(ids, grown_head.new_cache(64), 0)[16:], atol=1e-5
    )
    assert not small.is_open


def test_no_more_positions_go_in_than_were_asked_for(grown_head, ids):
    cache = grown_head.new_cache(20)
    assert cache.size_bytes == grown_head.cache_bytes(20) == 20 * 2 * 4 * 16 * 4
    with pytest.raises(LocalProtocolError, match="do not fit into a cache of 20 positions"):
        grown_head.run(ids, cache, 0)


def test_a_closed_cache_holds_no_memory_and_is_not_used():
    cache = GrownCache(positions=8, size_bytes=0)
    cache.hold([np.zeros((1, 2, 4, 16), np.float32)])
    cache.close()
    assert cache.held(4) == []
    with pytest.raises(LocalProtocolError, match="after it was closed"):
        cache.check_room(0, 1)
