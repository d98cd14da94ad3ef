import itertools

from isthmus.tail.watching.incidents import DEVICE_MAX, KEPT, TEXT_MAX, Incidents


def test_the_latest_comes_first_and_what_repeats_is_counted():
    incidents = Incidents(itertools.count(100).__next__)
    incidents.note("capture invalid", "first", "a")
    incidents.note("stream refused", "other", "b")
    incidents.note("capture invalid", "second", "a")
    assert [(one.kind, one.device_id, one.message, one.count, one.at_s) for one in incidents] == [
        ("capture invalid", "a", "second", 2, 102),
        ("stream refused", "b", "other", 1, 101),
    ]


def test_no_flood_takes_more_than_its_room():
    incidents = Incidents()
    for number in range(1000):
        incidents.note("capture invalid", "x" * 10_000, f"{number}" * 1000)
    kept = list(incidents)
    assert len(kept) == KEPT
    assert max(len(one.message) for one in kept) == TEXT_MAX
    assert max(len(one.device_id) for one in kept) == DEVICE_MAX
