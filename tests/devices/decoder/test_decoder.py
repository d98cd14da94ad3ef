import numpy as np
import pytest

from isthmus.devices.decoder.decoder import Decoder
from isthmus.devices.decoder.step import Step
from isthmus.errors import BundleError, DeviceError, LocalProtocolError


def alone(decoder, rows):
    return decoder.run(rows, decoder.new_cache(len(rows)), 0)


def test_rows_in_pieces_give_what_they_give_at_once(head, ids):
    whole, cache = alone(head, ids), head.new_cache(64)
    pieces = [head.run(ids[start:end], cache, start) for start, end in ((0, 7), (7, 8), (8, 30), (30, 40))]
    np.testing.assert_allclose(np.concatenate(pieces), whole, atol=1e-5)
    assert cache.length == 40


def test_a_position_before_the_end_rolls_the_cache_back(head, ids):
    cache = head.new_cache(64)
    head.run(ids, cache, 0)
    again = head.run(ids[10:12], cache, 10)
    np.testing.assert_allclose(again, alone(head, ids)[10:12], atol=1e-5)
    assert cache.length == 12


def test_what_is_behind_a_truncated_cache_is_forgotten(head, ids):
    cache = head.new_cache(64)
    head.run(np.concatenate([ids[:5], ids[::-1][:5]]), cache, 0)
    cache.truncate(5)
    np.testing.assert_allclose(head.run(ids[5:], cache, 5), alone(head, ids)[5:], atol=1e-5)


def test_logits_are_given_for_the_last_rows_that_are_asked_for(head, tail, ids):
    hidden = alone(head, ids)
    kept = tail.run(hidden, tail.new_cache(64), 0, keep=3)
    np.testing.assert_allclose(kept, alone(tail, hidden)[-3:], atol=1e-5)


def test_sequences_of_any_length_run_together_as_they_run_alone(head, tail, ids):
    lengths = (3, 17, 9, 40, 25, 1)
    hidden = [alone(head, ids[:length]) for length in lengths]
    caches = [tail.new_cache(64) for _ in lengths]
    for rows, cache in zip(hidden, caches, strict=True):
        tail.run(rows[:-1], cache, 0) if len(rows) > 1 else None
    steps = [Step(rows[-1:], cache, len(rows) - 1) for rows, cache in zip(hidden, caches, strict=True)]
    for rows, logits in zip(hidden, tail.run_together(steps), strict=True):
        np.testing.assert_allclose(logits, alone(tail, rows)[-1:], atol=1e-4)
    assert [cache.length for cache in caches] == list(lengths)


def test_sequences_that_leave_are_no_hindrance_to_those_that_stay(head, ids):
    caches = [head.new_cache(64) for _ in range(4)]
    for number, cache in enumerate(caches):
        head.run(ids[number : number + 20], cache, 0)
    caches.pop(1).close()
    starts = (0, 2, 3)
    together = head.run_together(
        [Step(ids[start + 20 : start + 21], cache, 20) for start, cache in zip(starts, caches, strict=True)]
    )
    assert sorted(cache.lease.slot for cache in caches) == [0, 1, 2]
    for start, found in zip(starts, together, strict=True):
        np.testing.assert_allclose(found, alone(head, ids[start : start + 21])[-1:], atol=1e-5)


@pytest.mark.parametrize(("pos", "rows"), [(1, 1), (-1, 1), (0, 65)])
def test_a_call_that_the_cache_cannot_take_is_an_error_of_the_caller(head, pos, rows):
    with pytest.raises(LocalProtocolError, match="cache of"):
        head.run(np.zeros(rows, np.int64), head.new_cache(64), pos)


def test_one_cache_cannot_run_together_with_itself(head, ids):
    cache = head.new_cache(64)
    with pytest.raises(LocalProtocolError, match="several sequences"):
        head.run_together([Step(ids[:1], cache, 0), Step(ids[:1], cache, 0)])


@pytest.mark.parametrize(("wrong", "error"), [(-1, BundleError), (300, DeviceError)])
def test_a_token_that_there_is_not_is_refused(head, wrong, error):
    with pytest.raises(error, match=r"head\.onnx"):
        head.run(np.array([wrong]), head.new_cache(64), 0)


@pytest.mark.parametrize("rows", [np.zeros((1, 63), np.float32), np.zeros((1, 64)), np.zeros(1, np.int64)], ids=str)
def test_rows_of_another_width_or_type_are_refused(tail, rows):
    with pytest.raises(BundleError, match="input 'hidden' takes"):
        tail.run(rows, tail.new_cache(64), 0)


def test_a_network_of_pictures_is_no_decoder(tiny_bundle):
    with pytest.raises(BundleError, match="no part of a language model"):
        Decoder.of_bundle(tiny_bundle, "head.onnx")


def test_it_says_what_goes_in_and_out(head, tail):
    assert (head.takes_ids, head.gives_logits, head.layers) == (True, False, 1)
    assert (tail.takes_ids, tail.gives_logits, tail.layers) == (False, True, 3)
    assert tail.cache_bytes(64) == tail.new_cache(64).size_bytes == 3 * 2 * 2 * 16 * 64 * 4
