import numpy as np
import pytest
import torch

from isthmus.errors import ExportError
from isthmus.export.training import store as stores
from isthmus.export.training.store import Store


def filled(values):
    made = Store(len(values[0]), [array[:1] for array in values])
    for row in range(len(values[0])):
        made.put(row, [array[row : row + 1] for array in values])
    return made


@pytest.fixture
def values():
    random = np.random.default_rng(0)
    return [random.normal(0, 3, (7, 2, 3)).astype(np.float32), random.integers(0, 9, (7,)), 9e5 * np.ones((7, 1), np.float32)]


@pytest.mark.parametrize("memory_max", [1 << 30, 0])
def test_rows_come_back_in_any_order_from_memory_and_from_a_file(values, monkeypatch, memory_max):
    monkeypatch.setattr(stores, "MEMORY_MAX_BYTES", memory_max)
    small, whole, large = filled(values).rows(np.array([6, 0, 6]))
    assert torch.allclose(small, torch.from_numpy(values[0])[[6, 0, 6]], rtol=1e-3)
    assert whole.tolist() == values[1][[6, 0, 6]].tolist()
    # Near the end of half precision a tensor is kept in single.
    assert large.flatten().tolist() == [9e5] * 3


def test_the_file_leaves_nothing_behind_whatever_ends_the_process(values, monkeypatch, tmp_path):
    monkeypatch.setattr(stores, "MEMORY_MAX_BYTES", 0)
    monkeypatch.setattr(stores.tempfile, "tempdir", str(tmp_path))
    made = filled(values)
    assert list(tmp_path.iterdir()) == []
    assert isinstance(made._arrays[0], np.memmap)


def test_a_full_disk_is_said_in_one_line(values, monkeypatch):
    monkeypatch.setattr(stores, "MEMORY_MAX_BYTES", 0)

    def full(*_arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(stores.os, "posix_fallocate", full)
    with pytest.raises(ExportError, match="has no room for them: No space left on device; set TMPDIR to a larger disk"):
        filled(values)


def test_a_later_value_beyond_half_precision_is_kept_as_its_largest():
    made = filled([np.array([[1.0], [1e9]], np.float32)])
    assert made.rows(np.array([1]))[0].item() == stores.HALF_MAX
