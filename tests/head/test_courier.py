"""What the courier sends of frames that the neural filter has looked at."""

import time

import pytest

from isthmus.head.courier import Courier
from isthmus.head.frame import Frame
from isthmus.head.ledger import Ledger
from isthmus.head.pending import Pending
from isthmus.head.placement import Split


class Mute:
    """A link that counts what it is given, and sends nothing."""

    dialogue = None

    def __init__(self):
        self.given = 0

    def next_sequence(self, sequence):
        return sequence

    def send(self, _capture, _codes):
        self.given += 1


@pytest.mark.parametrize(("audit_share", "given"), [(0.0, 0), (1.0, 1)])
def test_a_probe_in_which_the_filter_sees_nothing_has_no_codes_to_send(make_tiny_bundle, picture, audit_share, given):
    bundle = make_tiny_bundle(filtered=100.0)
    link, ledger = Mute(), Ledger(bundle.manifest, device_id="camera", deadline_s=None, sinks=[])
    courier = Courier(link, ledger, None, give_up=lambda *_: None)
    frame = Frame(sequence=0, image=picture, captured_s=time.monotonic())
    courier.probe(Split(bundle, filtering=True, audit_share=audit_share), Pending(frame, {}))
    assert link.given == given
