import numpy as np
import pytest
from onnx import TensorProto

from isthmus.devices.runtime import Network
from isthmus.export.language import linear, packing, tensors
from isthmus.export.language.network import NetworkFile
from isthmus.export.language.tensors import FolderTensors

MATRIX = "model.layers.0.mlp.down_proj.weight"
EMBEDDING = "model.embed_tokens.weight"


@pytest.fixture
def read(make_language_folder):
    with FolderTensors(make_language_folder()) as opened:
        yield opened


def built(tmp_path, read, weights):
    """A network that multiplies by a matrix and looks rows up."""
    with NetworkFile(tmp_path / "n.onnx") as network:
        network.takes("x", TensorProto.FLOAT, ["rows", 96])
        network.takes("ids", TensorProto.INT64, ["rows"])
        for name in (
            linear.product(network, read, weights, x="x", matrix=MATRIX, name="y"),
            linear.lookup(network, read, weights, ids="ids", matrix=EMBEDDING, name="rows_taken"),
        ):
            network.gives(name, TensorProto.FLOAT, ["rows", 64])
    return network


def run(network):
    x = np.random.default_rng(0).normal(size=(5, 96)).astype(np.float32)
    ids = np.array([0, 299, 7, 7, 1])
    return x, ids, Network.load(network.path).run({"x": x, "ids": ids})


def test_float32_is_the_matrix_itself(tmp_path, read):
    network = built(tmp_path, read, "float32")
    x, ids, outputs = run(network)
    np.testing.assert_allclose(outputs["y"], x @ read.read(MATRIX).T, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(outputs["rows_taken"], read.read(EMBEDDING)[ids])
    assert network.parameters == 64 * 96 + 300 * 64


@pytest.mark.parametrize(("weights", "bits"), [("int8", 8), ("int4", 4)])
def test_quantised_weights_multiply_as_they_unpack(tmp_path, read, weights, bits):
    network = built(tmp_path, read, weights)
    x, ids, outputs = run(network)
    expected = x @ packing.unpack(packing.pack(read.read(MATRIX), bits), 96, bits).T
    # Activations are rounded to 8 bits as well.
    assert np.linalg.norm(outputs["y"] - expected) < 0.02 * np.linalg.norm(expected)
    rows = read.read(EMBEDDING)[ids]
    assert np.linalg.norm(outputs["rows_taken"] - rows) < 0.01 * np.linalg.norm(rows)
    assert network.files["n.onnx.data"].stat().st_size < (64 * 96 * (bits / 8 + 1 / 8) + 300 * 68) + 4 * 4096


@pytest.mark.parametrize("weights", ["float32", "int8", "int4"])
def test_pieces_give_the_file_that_one_piece_gives(tmp_path, read, weights, monkeypatch):
    whole = built(tmp_path, read, weights).files["n.onnx.data"].read_bytes()
    monkeypatch.setattr(tensors, "ROW_VALUES", 7 * 96)
    monkeypatch.setattr(tensors, "COLUMN_VALUES", 7 * 64)
    assert built(tmp_path, read, weights).files["n.onnx.data"].read_bytes() == whole
