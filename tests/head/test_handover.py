import pytest

from isthmus.head.handover import Handover
from isthmus.head.placement import Local
from isthmus.head.rig import Rig


@pytest.fixture
def rig(tiny_bundle):
    return Rig(placement=Local(tiny_bundle), ledger=None)


def test_what_is_offered_is_taken_once(rig):
    handover = Handover()
    taken = handover.offer(rig)
    assert not taken.is_set()
    assert handover.take() is rig
    assert taken.is_set()
    assert handover.take() is None


def test_the_later_offer_counts(rig, tiny_bundle):
    handover = Handover()
    handover.offer(rig)
    later = Rig(placement=Local(tiny_bundle), ledger=None)
    handover.offer(later)
    assert handover.take() is later
