import onnxruntime
import pytest

from isthmus.devices import provider
from isthmus.devices.runtime import Network
from isthmus.errors import DeviceError

EVERYTHING = ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"]


@pytest.fixture
def built_with(monkeypatch):
    """A function that says what onnxruntime was built with."""
    return lambda names: monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: names)


@pytest.mark.parametrize(
    ("names", "choice", "tried"),
    [
        (EVERYTHING, "auto", ("cuda", "cpu")),
        (EVERYTHING, "tensorrt", ("tensorrt",)),
        (EVERYTHING, "cpu", ("cpu",)),
        (["AzureExecutionProvider", "CPUExecutionProvider"], "auto", ("cpu",)),
    ],
)
def test_auto_goes_on_to_the_cpu_and_a_name_to_nothing_else(built_with, names, choice, tried):
    built_with(names)
    assert provider.candidates(choice) == tried


def test_a_provider_that_is_not_there_is_told_with_those_that_are(built_with):
    built_with(["CPUExecutionProvider", "CUDAExecutionProvider"])
    with pytest.raises(DeviceError, match="provider tensorrt is asked for, onnxruntime here has cpu, cuda; install 'isthmus"):
        provider.candidates("tensorrt")


def test_a_chain_ends_with_the_cpu_which_computes_every_operator(tiny_bundle):
    assert all(provider.chain(name)[-1] == "CPUExecutionProvider" for name in ("cpu", "cuda", "tensorrt"))
    assert Network.load(tiny_bundle.path("tail.onnx"), providers=provider.chain("cpu")).inputs
