import threading
from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.errors import ConfigError
from isthmus.head.mailbox import Mailbox

POLICIES = st.sampled_from(["drop-oldest", "drop-latest", "wait"])


def _model_put(items, capacity, policy, item):
    """What `put` has to do, for one thread that never waits: the dropped item."""
    if len(items) < capacity:
        items.append(item)
        return None
    if policy != "drop-oldest":
        return item
    items.append(item)
    return items.popleft()


@given(capacity=st.integers(1, 4), policy=POLICIES, steps=st.lists(st.booleans(), max_size=40))
def test_one_thread_sees_a_bounded_queue_that_drops_by_its_policy(capacity, policy, steps):
    mailbox, items = Mailbox(capacity, policy), deque()
    for number, is_put in enumerate(steps):
        if is_put:
            assert mailbox.put(number, timeout_s=0) == _model_put(items, capacity, policy, number)
        elif items:
            assert mailbox.get(timeout_s=0) == items.popleft()
        assert len(mailbox) == len(items)
        assert mailbox.offered == mailbox.taken + mailbox.dropped + len(mailbox)


@given(capacity=st.integers(1, 4), policy=POLICIES, count=st.integers(0, 200))
def test_between_threads_nothing_is_lost_uncounted_or_out_of_order(capacity, policy, count):
    mailbox = Mailbox(capacity, policy)
    taken = []
    reader = threading.Thread(target=lambda: taken.extend(mailbox))
    reader.start()
    dropped = [item for item in map(mailbox.put, range(count)) if item is not None]
    mailbox.close()
    reader.join(10)
    assert not reader.is_alive()
    assert taken == sorted(taken)
    assert sorted(taken + dropped) == list(range(count))
    assert (mailbox.offered, mailbox.taken, mailbox.dropped) == (count, len(taken), len(dropped))


def test_waiting_between_threads_drops_nothing():
    mailbox = Mailbox(2, "wait")
    writer = threading.Thread(target=lambda: [mailbox.put(number) for number in range(500)] and mailbox.close())
    writer.start()
    assert list(mailbox) == list(range(500))
    assert mailbox.dropped == 0
    writer.join(10)


def test_several_writers_and_readers_share_one_mailbox():
    mailbox, taken = Mailbox(3, "wait"), []
    readers = [threading.Thread(target=lambda: taken.extend(mailbox)) for _ in range(3)]
    writers = [threading.Thread(target=lambda: [mailbox.put(n) for n in range(100)]) for _ in range(3)]
    for thread in readers + writers:
        thread.start()
    for thread in writers:
        thread.join(10)
    mailbox.close()
    for thread in readers:
        thread.join(10)
    assert sorted(taken) == sorted(3 * list(range(100)))


def test_the_newest_frame_wins_at_capacity_one():
    mailbox = Mailbox()
    assert [mailbox.put(number) for number in range(3)] == [None, 0, 1]
    assert mailbox.get() == 2


def test_close_wakes_a_writer_that_waits_for_room():
    mailbox = Mailbox(1, "wait")
    mailbox.put("kept")
    refused = []
    writer = threading.Thread(target=lambda: refused.append(mailbox.put("late")))
    writer.start()
    mailbox.close()
    writer.join(10)
    assert refused == ["late"]
    assert list(mailbox) == ["kept"]


def test_close_wakes_a_reader_that_waits_for_an_item():
    mailbox, got = Mailbox(), []
    reader = threading.Thread(target=lambda: got.append(mailbox.get()))
    reader.start()
    mailbox.close()
    reader.join(10)
    assert got == [None]


def test_a_closed_mailbox_hands_out_what_it_holds_and_refuses_more():
    mailbox = Mailbox(2)
    mailbox.put(1)
    mailbox.close()
    assert mailbox.put(2) == 2
    assert (mailbox.get(), mailbox.get(), mailbox.dropped, mailbox.closed) == (1, None, 1, True)


def test_an_empty_mailbox_times_out():
    with pytest.raises(TimeoutError, match="0 s"):
        Mailbox().get(timeout_s=0)


def test_a_capacity_of_zero_and_an_unknown_policy_are_config_errors():
    with pytest.raises(ConfigError, match="capacity is 0"):
        Mailbox(0)
    with pytest.raises(ConfigError, match="choose one of drop-oldest, drop-latest, wait"):
        Mailbox(1, "newest")
