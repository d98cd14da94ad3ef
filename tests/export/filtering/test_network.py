import numpy as np
import pytest
import torch

from isthmus.contract.boundary import Boundary, CodeTensor
from isthmus.export.filtering.network import FilterModule, to_onnx
from isthmus.export.graph import cost, weights

BOUNDARIES = {
    "picture": [CodeTensor(name="codes/0:x", shape=(8, 14, 14), bits=4)],
    "wide": [CodeTensor(name="codes", shape=(64, 61, 40), bits=8)],
    "unsigned": [CodeTensor(name="codes", shape=(4, 4, 4), bits=3, signed=False)],
    "vector": [CodeTensor(name="codes", shape=(12,), bits=8)],
    "tokens": [CodeTensor(name="codes", shape=(12, 50), bits=8)],
    "two": [CodeTensor(name="b", shape=(3, 9, 9), bits=2), CodeTensor(name="a", shape=(5, 4, 3, 2), bits=8)],
}


@pytest.mark.parametrize("tensors", BOUNDARIES.values(), ids=BOUNDARIES)
def test_the_onnx_network_gives_what_the_module_gives(run_onnx, tensors):
    torch.manual_seed(0)
    module = FilterModule(Boundary(tensors=tuple(tensors))).eval()
    random = np.random.default_rng(0)
    codes = [random.integers(t.lowest, t.highest + 1, (5, *t.shape)).astype(t.dtype) for t in tensors]
    with torch.inference_mode():
        wanted = module([torch.from_numpy(one) for one in codes]).numpy()
    scores = run_onnx(to_onnx(module), {t.name: one for t, one in zip(tensors, codes, strict=True)})
    np.testing.assert_allclose(scores, wanted, rtol=1e-4, atol=1e-5)


def test_it_is_small(tmp_path):
    model = to_onnx(FilterModule(Boundary(tensors=(CodeTensor(name="codes", shape=(12, 14, 14), bits=4),))))
    weights.save(model, tmp_path / "filter.onnx")
    assert (tmp_path / "filter.onnx").stat().st_size < 24_000
    assert 0 < cost.of_graph(model.graph).flops < 2 * 200_000


@pytest.fixture
def run_onnx(tmp_path):
    import onnxruntime

    def run(model, feeds):
        weights.save(model, tmp_path / "filter.onnx")
        session = onnxruntime.InferenceSession(str(tmp_path / "filter.onnx"), providers=["CPUExecutionProvider"])
        return session.run(["score"], feeds)[0]

    return run
