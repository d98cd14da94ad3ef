from concurrent.futures import ThreadPoolExecutor

import numpy as np

from isthmus.head.frame import Frame
from isthmus.head.pending import Pending


def frame_of(captured_s=0.0):
    return Frame(sequence=0, image=np.zeros((1, 1, 3), np.uint8), captured_s=captured_s)


def test_of_many_who_claim_a_frame_one_gets_it():
    with ThreadPoolExecutor(8) as pool:
        for _ in range(200):
            pending = Pending(frame_of(), {})
            assert not pending.settled
            assert sorted(pool.map(lambda _: pending.claim(), range(8)))[-2:] == [False, True]  # noqa: B023
            assert pending.settled


def test_what_passed_outside_of_the_stages_is_waiting(monkeypatch):
    monkeypatch.setattr("isthmus.head.pending.time.monotonic", lambda: 10.5)
    pending = Pending(frame_of(captured_s=10.0), {"gate": 0.125})
    assert pending.stages_until_now() == {"gate": 0.125, "wait": 0.375}
    assert pending.stages_s == {"gate": 0.125}
