import numpy as np
import pytest

from isthmus.head.control.choice import Choice
from isthmus.head.control.outlay import Outlay

LOCAL = Choice(placement="local", setting="local", accuracy=0.7, device_s=0.010)
FULL = Choice(placement="split", setting="full", accuracy=0.8, size_bytes=1000, device_s=0.004, server_s=0.006)
HALF = Choice(placement="split", setting="half", accuracy=0.7, size_bytes=500, device_s=0.004, server_s=0.006)


def test_guesses_stand_until_something_is_measured():
    outlay = Outlay([LOCAL, FULL])
    assert outlay.sizes_bytes.tolist() == [0.0, 1000.0]
    assert outlay.spent_s == pytest.approx([0.010, 0.010])


def test_what_is_measured_counts():
    outlay = Outlay([LOCAL, FULL])
    outlay.computed(FULL, 0.020)
    outlay.sent(FULL, 2000)
    outlay.served(FULL, 0.030)
    assert outlay.sizes_bytes.tolist() == [0.0, 2000.0]
    assert outlay.spent_s == pytest.approx([0.010, 0.050])


def test_points_share_the_server_and_not_the_payload():
    outlay = Outlay([FULL, HALF])
    outlay.served(FULL, 0.030)
    outlay.sent(FULL, 2000)
    assert outlay.spent_s == pytest.approx([0.034, 0.034])
    assert outlay.sizes_bytes.tolist() == [2000.0, 500.0]


def test_steady_payloads_are_certain_and_others_are_not():
    outlay = Outlay([FULL, HALF])
    for index in range(100):
        outlay.sent(FULL, 1000)
        outlay.sent(HALF, 250 if index % 2 else 750)
    assert outlay.size_spreads == pytest.approx([0.0, 0.6], abs=0.1)
    assert np.all(outlay.spread_s > 0)


def test_a_server_that_varies_is_given_more_time():
    steady, varied = Outlay([FULL]), Outlay([FULL])
    for index in range(50):
        steady.served(FULL, 0.01)
        varied.served(FULL, 0.02 if index % 2 else 0.0)
    assert varied.patience_s > 2 * steady.patience_s
    assert Outlay([LOCAL]).patience_s == 0.0
