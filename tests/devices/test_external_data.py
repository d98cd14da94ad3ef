import contextlib
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from isthmus.contract.bundle_writing import write_bundle
from isthmus.devices import external_data
from isthmus.devices.runtime import Network
from isthmus.errors import BundleError

WEIGHTS = np.arange(64, dtype=np.float32)


def model(location="weights.data", *, nested=False):
    """x float[64] -> y = x + WEIGHTS, which lie in a file; `nested`: in a branch of an If."""
    weights = onnx.numpy_helper.from_array(WEIGHTS, "w")
    onnx.external_data_helper.set_external_data(weights, location)
    weights.ClearField("raw_data")
    text = '<ir_version: 8, opset_import: ["" : 17]> m (float[64] x{}) => (float[64] y) {{{}}}'
    if nested:
        branches = "then_branch = g () => (float[64] a) {a = Add (x, w)}, else_branch = h () => (float[64] b) {b = Neg (x)}"
        made = onnx.parser.parse_model(text.format(", bool yes", f"y = If (yes) <{branches}>"))
        made.graph.node[0].attribute[0].g.initializer.append(weights)
        return made
    made = onnx.parser.parse_model(text.format("", "y = Add (x, w)"))
    made.graph.initializer.append(weights)
    return made


@pytest.fixture
def place(tmp_path):
    """A function that writes a network that takes its weights from `location`, with weights at every place tried here."""
    folder = tmp_path / "network"
    (folder / "sub").mkdir(parents=True)
    for path in (tmp_path / "outside.data", folder / "weights.data", folder / "sub" / "weights.data"):
        path.write_bytes(WEIGHTS.tobytes())
    (folder / "link.data").symlink_to(tmp_path / "outside.data")
    (folder / "inner.data").symlink_to("weights.data")
    (folder / "away").symlink_to(tmp_path)

    def write(location="weights.data", **options) -> Path:
        onnx.save(model(location, **options), folder / "model.onnx")
        return folder / "model.onnx"

    return write


@pytest.mark.parametrize("nested", [False, True])
def test_every_place_that_tensors_name_is_found(place, nested):
    assert external_data.locations(place("sub/weights.data", nested=nested)) == {"sub/weights.data"}


@pytest.mark.parametrize("location", ["weights.data", "./weights.data", "sub/weights.data"])
def test_weights_beside_the_network_are_taken(place, location):
    network = Network.load(place(location), beside=["weights.data", "sub/weights.data"])
    np.testing.assert_array_equal(network.run({"x": WEIGHTS})["y"], 2 * WEIGHTS)


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize(
    ("location", "message"),
    [
        ("../outside.data", "is not the name of a file beside it"),
        ("sub/../../outside.data", "is not the name of a file beside it"),
        ("/etc/hostname", "is not the name of a file beside it"),
        ("..\\outside.data", "is not the name of a file beside it"),
        ("link.data", "is a link or lies outside"),
        ("inner.data", "is a link or lies outside"),
        ("away/outside.data", "is a link or lies outside"),
        ("nothing.data", "is missing"),
        ("*/_ORT_MEM_ADDR_/*", "is missing"),
        ("sub", "is missing"),
    ],
)
def test_weights_elsewhere_are_refused_before_onnxruntime_looks(place, location, message, nested):
    with pytest.raises(BundleError, match=message) as caught:
        Network.load(place(location, nested=nested))
    assert "\n" not in str(caught.value)


def test_a_network_of_a_bundle_takes_weights_from_files_that_the_manifest_names_only(tiny_bundle, place, tmp_path):
    files = {name: tiny_bundle.path(name) for name in tiny_bundle.manifest.files} | {"tail.onnx": place()}
    without = write_bundle(tmp_path / "without", tiny_bundle.manifest, files)
    shutil.copy(files["tail.onnx"].with_name("weights.data"), without.folder)
    with pytest.raises(BundleError, match=r"weights from 'weights\.data', which the manifest does not name"):
        Network.of_bundle(without, "tail.onnx")
    listed = write_bundle(
        tmp_path / "with", tiny_bundle.manifest, files | {"weights.data": files["tail.onnx"].with_name("weights.data")}
    )
    assert Network.of_bundle(listed, "tail.onnx").inputs


def test_networks_without_external_data_name_no_place(tiny_bundle):
    assert [external_data.locations(tiny_bundle.path(name)) for name in ("head.onnx", "tail.onnx", "whole.onnx")] == [set()] * 3


@settings(max_examples=200, suppress_health_check=list(HealthCheck), deadline=None)
@given(data=st.data())
def test_damaged_files_are_refused_or_read(place, data):
    whole = place(nested=True).read_bytes()
    at = data.draw(st.integers(0, len(whole) - 1))
    spoiled = whole[:at] + data.draw(st.binary(max_size=6)) + whole[at + data.draw(st.integers(0, 6)) :]
    path = place()
    path.write_bytes(spoiled)
    with contextlib.suppress(BundleError):
        assert all(isinstance(location, str) for location in external_data.locations(path))


def test_messages_nested_without_end_are_refused(tmp_path):
    data = b""
    for _ in range(60):
        graph = b"\x32" + _length(data) + data  # AttributeProto.g
        attribute = b"\x2a" + _length(graph) + graph  # NodeProto.attribute
        data = b"\x0a" + _length(attribute) + attribute  # GraphProto.node
    (tmp_path / "model.onnx").write_bytes(b"\x3a" + _length(data) + data)
    with pytest.raises(BundleError, match="nested deeper than 100"):
        external_data.locations(tmp_path / "model.onnx")


def _length(data):
    size, written = len(data), b""
    while size > 0x7F:
        written, size = written + bytes([size & 0x7F | 0x80]), size >> 7
    return written + bytes([size])
