import threading

import onnxruntime
import pytest

from isthmus.tail.model import TailModel


@pytest.fixture
def gate(monkeypatch):
    """Holds every computation until `open` is set; `entered` tells that one began."""

    class Gate:
        entered, open, frames = threading.Event(), threading.Event(), 0

    compute = TailModel.compute

    def wait(self, worker, works):
        Gate.frames += len(works)
        Gate.entered.set()
        assert Gate.open.wait(30)
        return compute(self, worker, works)

    monkeypatch.setattr(TailModel, "compute", wait)
    yield Gate
    Gate.open.set()


@pytest.fixture
def run_network():
    """A function that gives the output of a bundle's network for one array, by onnxruntime alone."""

    def run(bundle, name, array):
        session = onnxruntime.InferenceSession(str(bundle.path(name)), providers=["CPUExecutionProvider"])
        return session.run(None, {session.get_inputs()[0].name: array})[0]

    return run
