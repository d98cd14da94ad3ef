import pytest

from isthmus.errors import BundleError
from isthmus.head.update.precedence import Edition, check_successor


def edition(version="1", created="", name="cups"):
    return Edition(id=name, version=version, created=created)


@pytest.mark.parametrize(
    ("one", "other", "older"),
    [
        (edition("1"), edition("2"), True),
        (edition("2"), edition("1"), False),
        (edition("1.9"), edition("1.10"), True),
        (edition("1", "2026-01-01T00:00:00+00:00"), edition("1", "2026-01-02T00:00:00+00:00"), True),
        (edition("1", "2026-01-01T23:30:00-02:00"), edition("1", "2026-01-02T00:00:00+00:00"), False),
        (edition("spring"), edition("autumn"), False),
        (edition("spring", "2026-01-01T00:00:00+00:00"), edition("autumn", "2026-01-02T00:00:00+00:00"), True),
        (edition("1", "yesterday"), edition("1", "2026-01-02T00:00:00+00:00"), False),
        (edition("1", "2026-01-01T00:00:00"), edition("1", "2026-01-02T00:00:00+00:00"), False),
    ],
)
def test_which_is_the_older_one(one, other, older):
    assert one.is_older_than(other) is older


def test_an_older_one_is_taken_only_when_it_is_asked_for():
    with pytest.raises(BundleError, match="the update cups 1 is older than what runs, cups 2"):
        check_successor(edition("1"), edition("2"), downgrade=False)
    check_successor(edition("1"), edition("2"), downgrade=True)


def test_another_model_never_takes_its_place():
    with pytest.raises(BundleError, match="is bundle 'plates', this device runs 'cups'"):
        check_successor(edition("9", name="plates"), edition("1"), downgrade=True)
