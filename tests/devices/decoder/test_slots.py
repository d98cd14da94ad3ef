import numpy as np
import pytest

from isthmus.devices.decoder.cache import SlotCache
from isthmus.devices.decoder.slots import KeyValueShape, SlotBuffers, spans
from isthmus.errors import LocalProtocolError


@pytest.fixture
def buffers():
    return SlotBuffers([KeyValueShape(heads=2, width=4), KeyValueShape(heads=1, width=8)], slots=4, positions=16)


def fill(buffers, lease, value):
    for array in buffers.stretch(lease.slot, lease.slot + 1):
        array[:] = value


def held(buffers, lease):
    return {float(array[0, 0, 0, 0]) for array in buffers.stretch(lease.slot, lease.slot + 1)}


def test_a_slot_that_is_given_back_is_taken_again(buffers):
    leases = [buffers.take() for _ in range(4)]
    assert buffers.take() is None
    buffers.give_back(leases[2])
    assert buffers.take().slot == 2


def test_giving_back_twice_frees_nothing_of_the_next_holder(buffers):
    first = buffers.take()
    buffers.give_back(first)
    second = buffers.take()
    buffers.give_back(first)
    assert (second.slot, buffers.take().slot) == (0, 1)


def test_sequences_are_moved_side_by_side_with_what_they_hold(buffers):
    leases = [buffers.take() for _ in range(4)]
    for number, lease in enumerate(leases):
        fill(buffers, lease, number)
    buffers.give_back(leases[1])
    stay = [leases[0], leases[2], leases[3]]
    buffers.draw_together(dict.fromkeys(stay, 16))
    assert sorted(lease.slot for lease in stay) == [0, 1, 2]
    assert [held(buffers, lease) for lease in stay] == [{0.0}, {2.0}, {3.0}]


def test_a_sequence_that_is_not_named_stays_where_it_is(buffers):
    leases = [buffers.take() for _ in range(3)]
    buffers.draw_together({leases[0]: 1, leases[2]: 1})
    assert leases[1].slot == 1
    assert {leases[0].slot, leases[2].slot} == {2, 3}


def test_where_there_is_no_room_nothing_moves(buffers):
    leases = [buffers.take() for _ in range(4)]
    buffers.draw_together({leases[0]: 1, leases[2]: 1})
    assert [lease.slot for lease in leases] == [0, 1, 2, 3]


def test_neighbours_are_one_run(buffers):
    leases = [buffers.take() for _ in range(4)]
    assert spans(leases) == [(0, 4)]
    assert spans([leases[0], leases[2], leases[3]]) == [(0, 1), (1, 3)]


def test_a_cache_that_nobody_has_gives_its_slot_back(buffers):
    cache = SlotCache(buffers, buffers.take())
    assert cache.size_bytes == 2 * (2 * 4 + 8) * 16 * np.float32().nbytes
    del cache
    assert buffers.take().slot == 0


def test_a_closed_cache_is_not_used(buffers):
    cache = SlotCache(buffers, buffers.take())
    cache.close()
    with pytest.raises(LocalProtocolError, match="closed"):
        cache.check_room(0, 1)


def test_a_cache_cannot_be_truncated_to_what_it_has_not(buffers):
    with pytest.raises(LocalProtocolError, match="cannot go on from position 1"):
        SlotCache(buffers, buffers.take()).truncate(1)
