import ctypes

import pytest

from isthmus.devices.clock import is_synchronised


def test_this_kernel_answers():
    assert is_synchronised() in (True, False)


class Kernel:
    """A C library whose adjtimex writes a status."""

    def __init__(self, answer, status):
        self._answer, self._status = answer, status

    def __call__(self, *_, **__):
        return self

    def adjtimex(self, state):
        state[40:44] = self._status.to_bytes(4, "little")
        return self._answer


@pytest.mark.parametrize(("answer", "status", "said"), [(0, 0x2001, True), (5, 0x40, False), (-1, 0, None)])
def test_the_status_says_whether_it_is_synchronised(monkeypatch, answer, status, said):
    monkeypatch.setattr(ctypes, "CDLL", Kernel(answer, status))
    assert is_synchronised() is said


def test_a_c_library_without_the_call_says_nothing(monkeypatch):
    monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: object())
    assert is_synchronised() is None
