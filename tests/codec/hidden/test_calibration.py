import zipfile

import numpy as np
import pytest

from isthmus.codec.hidden.calibration import Calibration, load
from isthmus.errors import BundleError


def test_what_is_saved_is_loaded(tmp_path, calibration):
    calibration.save(tmp_path / "hidden.npz")
    found = load(tmp_path / "hidden.npz")
    assert found.width == 192
    assert found.mean.tolist() == calibration.mean.tolist()
    assert found.signs.tolist() == calibration.signs.tolist()


def test_the_same_calibration_gives_the_same_file(tmp_path, calibration):
    for name in ("a", "b"):
        calibration.save(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize(
    "arrays",
    [
        {"mean": np.zeros(4, np.float32)},
        {"mean": np.zeros(4, np.float32), "signs": np.ones(5, np.int8)},
        {"mean": np.zeros(4, np.float64), "signs": np.ones(4, np.int8)},
        {"mean": np.full(4, np.nan, np.float32), "signs": np.ones(4, np.int8)},
        {"mean": np.zeros(4, np.float32), "signs": np.zeros(4, np.int8)},
        {"mean": np.zeros((1 << 16) + 512, np.float32), "signs": np.ones((1 << 16) + 512, np.int8)},
    ],
)
def test_what_is_no_calibration_is_refused(tmp_path, arrays):
    np.savez(tmp_path / "hidden.npz", **arrays)
    with pytest.raises(BundleError, match=r"hidden\.npz"):
        load(tmp_path / "hidden.npz")


def test_a_size_is_not_believed(tmp_path):
    with zipfile.ZipFile(tmp_path / "hidden.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("mean.npy", bytes(1 << 24))
        archive.writestr("signs.npy", b"")
    with pytest.raises(BundleError, match="more than 65536 channels"):
        load(tmp_path / "hidden.npz")


def test_bytes_that_are_no_archive_are_refused(tmp_path):
    (tmp_path / "hidden.npz").write_bytes(b"not a zip")
    with pytest.raises(BundleError, match="cannot be read"):
        load(tmp_path / "hidden.npz")


def test_a_calibration_of_rows_has_their_mean(states):
    found = Calibration.of_rows(states)
    np.testing.assert_allclose(found.mean, states.mean(axis=0), rtol=1e-4)
    assert set(found.signs.tolist()) == {-1.0, 1.0}
