from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.tail.admission.fair import FairQueue


@pytest.fixture
def queue():
    return FairQueue(count_max=100, bytes_max=1000)


def fill(queue, client, count, **fields):
    for number in range(count):
        queue.put((client, number), client=client, **fields)


def take(queue, count, cost=1.0):
    return [queue.take(cost) for _ in range(count)]


def test_one_client_is_served_in_its_order(queue):
    fill(queue, "a", 5)
    assert take(queue, 6) == [("a", 0), ("a", 1), ("a", 2), ("a", 3), ("a", 4), None]


def test_a_client_that_comes_during_a_flood_is_served_next(queue):
    fill(queue, "flood", 50)
    take(queue, 5)
    queue.put("polite", client="polite")
    assert "polite" in take(queue, 2)


def test_clients_take_turns_whoever_has_more_waiting(queue):
    fill(queue, "flood", 60)
    fill(queue, "some", 10)
    fill(queue, "few", 10)
    assert Counter(client for client, _ in take(queue, 30)) == {"flood": 10, "some": 10, "few": 10}


def test_the_streams_of_a_client_take_turns(queue):
    fill(queue, "a", 3, stream=1)
    fill(queue, "a", 3, stream=2)
    assert [number for _, number in take(queue, 6)] == [0, 0, 1, 1, 2, 2]


def test_turns_are_of_time_and_not_of_frames(queue):
    """Pictures that cost nine times what was expected come once for nine frames of codes."""
    fill(queue, "pictures", 30)
    fill(queue, "codes", 60)
    taken = Counter()
    for _ in range(50):
        client, _ = queue.take(1.0)
        taken[client] += 1
        queue.charge(client, 8.0 if client == "pictures" else 0.0)
    assert taken["pictures"] == pytest.approx(5, abs=2)


def test_nothing_is_saved_up_while_away(queue):
    queue.put("early", client="quiet")
    queue.take(1.0)
    fill(queue, "busy", 50)
    take(queue, 40)
    fill(queue, "quiet", 10)
    assert Counter(client for client, _ in take(queue, 10))["busy"] >= 4


def test_an_item_that_is_not_accepted_stays_first(queue):
    fill(queue, "a", 2)
    assert queue.take(1.0, lambda _item: False) is None
    assert (queue.take(1.0, lambda item: item == ("a", 0)), len(queue)) == (("a", 0), 1)


def test_a_full_queue_takes_from_whoever_holds_most():
    queue = FairQueue(count_max=4, bytes_max=1000)
    fill(queue, "flood", 4)
    assert not queue.has_room(1)
    assert queue.push_out(client="polite") == ("flood", 3)
    queue.put("polite", client="polite")
    assert queue.push_out(client="flood") is None, "a flood pushes nobody out"
    assert queue.push_out(client="polite") == ("flood", 2)


def test_whoever_would_hold_most_is_refused():
    queue = FairQueue(count_max=2, bytes_max=1000)
    fill(queue, "a", 1)
    fill(queue, "b", 1)
    assert queue.push_out(client="c") is None


def test_most_may_be_in_bytes():
    queue = FairQueue(count_max=100, bytes_max=1000)
    fill(queue, "codes", 10, size_bytes=10)
    fill(queue, "pictures", 3, size_bytes=300)
    assert not queue.has_room(10)
    assert queue.push_out(client="codes", size_bytes=10) == ("pictures", 2)
    assert (queue.size_bytes, queue.has_room(10)) == (700, True)


def test_within_a_client_it_is_the_longest_stream_that_gives_way():
    queue = FairQueue(count_max=5, bytes_max=1000)
    fill(queue, "a", 4, stream=1)
    fill(queue, "a", 1, stream=2)
    assert queue.push_out(client="a", stream=2) == ("a", 3)
    queue.put(("a", "more"), client="a", stream=2)
    assert queue.push_out(client="a", stream=2) is None


def test_an_item_larger_than_the_queue_is_taken_when_nothing_waits():
    queue = FairQueue(count_max=4, bytes_max=10)
    assert queue.has_room(11)
    fill(queue, "a", 1)
    assert not queue.has_room(11)


def test_what_nobody_waits_for_is_purged_and_its_client_not_charged(queue):
    fill(queue, "a", 4, size_bytes=1)
    fill(queue, "b", 2, size_bytes=1)
    purged = queue.purge(lambda item: item[0] == "a")
    assert (purged, len(queue), queue.size_bytes) == ([("a", number) for number in range(4)], 2, 2)
    fill(queue, "a", 1)
    assert [client for client, _ in take(queue, 3)] in (["b", "a", "b"], ["a", "b", "b"])


def test_clients_without_end_leave_nothing_behind():
    queue = FairQueue(count_max=4, bytes_max=1000)
    for number in range(1000):
        queue.put(number, client=number)
        queue.take(1.0) if number % 2 else queue.purge(lambda _item: True)
    assert len(queue._lanes) <= 9
    assert len(queue._heap) <= 4


puts = st.tuples(st.just("put"), st.integers(0, 3), st.integers(0, 2), st.integers(0, 60))
others = st.tuples(st.sampled_from(["take", "purge"]), st.integers(0, 3), st.just(0), st.just(0))


@given(st.lists(puts | others, max_size=120))
def test_every_item_comes_out_once_and_bounds_hold(steps):
    queue = FairQueue(count_max=8, bytes_max=200)
    inside, number = {}, 0
    for kind, client, stream, size in steps:
        if kind == "put":
            number += 1
            while not queue.has_room(size) and (pushed := queue.push_out(client=client, stream=stream, size_bytes=size)):
                del inside[pushed]
            if queue.has_room(size):
                queue.put(number, client=client, stream=stream, size_bytes=size)
                inside[number] = (client, size)
        elif kind == "take":
            taken = queue.take(1.0)
            assert (taken is None) == (not inside)
            inside.pop(taken, None)
        else:
            for purged in queue.purge(lambda item, client=client: inside[item][0] == client):
                del inside[purged]
        assert (len(queue), queue.size_bytes) == (len(inside), sum(size for _, size in inside.values()))
        assert len(queue) <= 8
        assert queue.size_bytes <= 200
    assert sorted(take(queue, len(inside))) == sorted(inside)
    assert queue.take(1.0) is None
