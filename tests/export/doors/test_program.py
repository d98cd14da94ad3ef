import numpy as np
import pytest
import torch
from torch import nn

from isthmus.errors import ExportError
from isthmus.export.doors import opening
from isthmus.export.graph.session import Session


class Small(nn.Module):
    """A convolution and a linear layer; `gain` by keyword."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.stem, self.head = nn.Conv2d(3, 4, 3, 2, 1), nn.Linear(4, 5)

    def forward(self, x, gain=None):
        x = torch.relu(self.stem(x)).mean((2, 3))
        return self.head(x if gain is None else x * gain)


def saved(path, module, *inputs, free=True, **keywords):
    batch = torch.export.Dim("rows", min=1, max=64)
    names = {"x": {0: batch}, **{name: {0: batch} for name in keywords}}
    program = torch.export.export(module.eval(), inputs, keywords, dynamic_shapes=names if free else None)
    torch.export.save(program, path)
    return str(path)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return saved(tmp_path_factory.mktemp("pt2") / "small.pt2", Small(), torch.rand(2, 3, 8, 8))


def test_a_program_comes_in_with_the_batch_it_leaves_free(path):
    source = opening.open_model(path)
    assert (source.name, source.dynamic_batch) == ("small", True)
    x = torch.rand(5, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        want = Small().eval()(x).numpy()
        np.testing.assert_allclose(source.torch_module(x).numpy(), want, rtol=1e-5, atol=1e-6)
    (answer,) = Session(source.model).run({source.model.graph.inputs[0].name: x.numpy()}).values()
    np.testing.assert_allclose(answer, want, rtol=1e-4, atol=1e-5)


def test_a_program_of_one_fixed_row_is_freed_and_its_module_takes_rows_singly(tmp_path):
    source = opening.open_model(saved(tmp_path / "one.pt2", Small(), torch.rand(1, 3, 8, 8), free=False))
    assert source.dynamic_batch
    with torch.no_grad():
        assert source.torch_module(torch.rand(3, 3, 8, 8)).shape == (3, 5)


def test_a_program_that_takes_keywords_comes_in(tmp_path):
    source = opening.open_model(saved(tmp_path / "gain.pt2", Small(), torch.rand(2, 3, 8, 8), gain=torch.rand(2, 4)))
    assert [array.shape for array in source.example_inputs] == [(2, 3, 8, 8), (2, 4)]


@pytest.mark.parametrize("length", [0, 100, 3000])
def test_a_truncated_program_is_refused_in_one_line(path, tmp_path, length):
    with open(path, "rb") as stream:
        (tmp_path / "cut.pt2").write_bytes(stream.read(length))
    with pytest.raises(ExportError, match=r"cut\.pt2") as caught:
        opening.open_model(str(tmp_path / "cut.pt2"))
    assert "\n" not in str(caught.value)


def test_a_damaged_program_is_refused_in_one_line(path, tmp_path):
    with open(path, "rb") as stream:
        content = bytearray(stream.read())
    content[200:1200] = bytes(1000)
    (tmp_path / "bad.pt2").write_bytes(content)
    with pytest.raises(ExportError, match=r"bad\.pt2") as caught:
        opening.open_model(str(tmp_path / "bad.pt2"))
    assert "\n" not in str(caught.value)
