import numpy as np
import pytest

from isthmus.devices.decoder.decoder import Decoder


@pytest.fixture(scope="session")
def head(language_bundle):
    """The head of a small model, for up to four sequences side by side."""
    return Decoder.of_bundle(language_bundle, "head.onnx", slots=4)


@pytest.fixture(scope="session")
def tail(language_bundle):
    """The tail that belongs to it."""
    return Decoder.of_bundle(language_bundle, "tail.onnx", slots=4)


@pytest.fixture
def ids():
    """Forty token ids."""
    return np.random.default_rng(0).integers(0, 300, 40)
