import numpy as np
import pytest

from isthmus.contract.bundle_writing import write_language
from isthmus.devices.decoder import golden
from isthmus.errors import BundleError


@pytest.fixture
def rewritten(language_bundle, tmp_path):
    """A function that writes the bundle with other arrays in its golden text, or with other files."""

    def write(arrays=None, **named):
        files = {name: language_bundle.path(name) for name in language_bundle.manifest.files}
        if arrays is not None:
            np.savez(tmp_path / "golden.npz", **{name: array for name, array in arrays.items() if array is not None})
            files["golden.npz"] = tmp_path / "golden.npz"
        files |= {name.replace("_", "."): path for name, path in named.items()}
        return write_language(tmp_path / "bundle", language_bundle.manifest, files)

    return write


def test_every_network_gives_what_it_gave_at_export(language_bundle):
    gates = list(golden.check(language_bundle, golden.read(language_bundle)))
    assert [gate.name for gate in gates] == ["head.onnx", "tail.onnx"]
    assert gates[1].detail == "4 of 32 golden rows, float32"
    assert max(gate.value for gate in gates) < 1e-5


def test_all_three_networks_of_a_sandwich_are_checked(make_language_bundle):
    bundle = make_language_bundle(settings={"layout": "sandwich"})
    assert [gate.name for gate in golden.check(bundle, golden.read(bundle))] == ["head.onnx", "tail.onnx", "last.onnx"]


@pytest.mark.parametrize("name", ["head", "tail"])
def test_a_network_of_other_weights_is_named(rewritten, make_language_bundle, name):
    other = make_language_bundle(seed=1)
    files = {f"{name}_onnx": other.path(f"{name}.onnx"), f"{name}_onnx_data": other.path(f"{name}.onnx.data")}
    bundle = rewritten(**files)
    with pytest.raises(BundleError, match=rf"fails the gate '{name}\.onnx' here: [\d.]+, at most 0\.001"):
        list(golden.check(bundle, golden.read(bundle)))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"head": None}, "lacks head"),
        ({"ids": np.zeros(3, np.int32)}, r"ids int32\[3\]"),
        ({"ids": np.zeros(0, np.int64)}, r"ids int64\[0\]"),
        ({"head": np.zeros((31, 64), np.float32)}, r"float32\[31, 64\] of head\.onnx"),
        ({"logits": np.zeros((4, 64), np.float32)}, r"float32\[4, 64\] of tail\.onnx, 300 values"),
        ({"logits": np.array(["a"])}, "<U1"),
    ],
)
def test_a_golden_text_that_does_not_fit_is_refused(rewritten, language_bundle, changed, message):
    arrays = golden.read(language_bundle).arrays() | changed
    with pytest.raises(BundleError, match=message):
        golden.read(rewritten(arrays))
