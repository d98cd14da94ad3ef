import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from isthmus.codec import payload
from isthmus.codec.hidden.calibration import Calibration, load
from isthmus.codec.hidden.codec import HiddenCodec
from isthmus.codec.hidden.principal import ROWS_MIN, WIDTH_MAX, Principal, allot
from isthmus.codec.payload import Mode
from isthmus.errors import BundleError, MalformedPayload

INT4 = Mode.HIDDEN_INT4
GOLDEN = (
    "1235c910d0013ee820840d420821840a420821840f42082184204992244992234992244992b6c87b4f004628218413420821"
    "8417420821840f42082184204992254992254992244992bc78a9fa"
)


def hadamard(width: int) -> np.ndarray:
    matrix = np.ones((1, 1), np.float32)
    while len(matrix) < width:
        matrix = np.block([[matrix, matrix], [matrix, -matrix]])
    return np.asarray(matrix / np.float32(width**0.5), np.float32)


def flat(width: int) -> np.ndarray:
    """Rows near a few directions, as those of language models are."""
    random = np.random.default_rng(7)
    shape = random.normal(size=(12, width)) * np.geomspace(10, 1, 12)[:, np.newaxis]
    return np.asarray(random.normal(size=(ROWS_MIN * width, 12)) @ shape + random.normal(0.5, 0.2, width), np.float32)


@pytest.fixture(scope="module")
def rows() -> np.ndarray:
    return flat(96)


@pytest.fixture(scope="module")
def learned(rows) -> Calibration:
    return Calibration.of_rows(rows)


def error(calibration: Calibration, rows: np.ndarray) -> float:
    codec = HiddenCodec(calibration)
    return float(np.linalg.norm(codec.decode(codec.encode(rows, INT4), len(rows)) - rows))


def test_directions_are_a_third_as_far_off_as_a_rotation(rows, learned):
    assert error(learned, rows[:64]) < error(Calibration.of_rows(rows, learns=False), rows[:64]) / 3


def test_a_row_has_the_size_that_it_has_without_directions(rows, learned):
    codec = HiddenCodec(learned)
    assert len(codec.encode(rows[:5], INT4)) == codec.payload_bytes(5, INT4) == payload.OVERHEAD_BYTES + 5 * (6 + 48)


def test_a_row_is_coded_and_read_by_itself(rows, learned):
    codec = HiddenCodec(learned)
    apart = [codec.encode(rows[index : index + 1], INT4) for index in range(5)]
    together = codec.encode(rows[:5], INT4)
    assert payload.pack(INT4, b"".join(bytes(payload.unpack(one)[1]) for one in apart)) == together
    assert np.array_equal(np.concatenate([codec.decode(one, 1) for one in apart]), codec.decode(together, 5))


@given(arrays(np.float32, (2, 64), elements=st.floats(-60000, 60000, width=32)), st.integers(0, 4))
def test_rows_come_back_within_a_step_of_their_block(rows, more):
    bits = np.array([4 + more, 4 - more], np.uint8)
    codec = HiddenCodec(Calibration(np.zeros(64, np.float32), np.ones(64, np.float32), Principal(np.eye(64, dtype="f4"), bits)))
    back = codec.decode(codec.encode(rows, INT4), 2)
    for block, count in enumerate(bits.tolist()):
        part = slice(32 * block, 32 * block + 32)
        farthest = np.abs(rows[:, part]).max(axis=1)
        off = np.linalg.norm((back - rows)[:, part].astype(np.float64), axis=1)
        step = farthest / 2.0 ** (count - 1) if count else farthest
        # What is just as far on the other side lacks a code of its own, and a scale is rounded to float16.
        assert (off <= 32**0.5 * step * 1.1 + 1e-5).all()


@given(st.binary(min_size=2 * 36, max_size=2 * 36))
def test_a_body_of_the_right_size_is_finite_rows_or_malformed(body):
    principal = Principal(hadamard(64), np.array([5, 3], np.uint8))
    codec = HiddenCodec(Calibration(np.zeros(64, np.float32), np.ones(64, np.float32), principal))
    try:
        rows = codec.decode(payload.pack(INT4, body), 2)
    except MalformedPayload:
        return
    assert np.isfinite(rows).all()


def test_what_does_not_vary_costs_nothing(rows):
    still = Calibration.of_rows(np.zeros((ROWS_MIN * 32, 32), np.float32))
    assert error(still, np.zeros((1, 32), np.float32)) == 0
    assert allot(np.array([1.0, 0.0])).tolist() == [8, 0]


@pytest.mark.parametrize(("count", "width"), [(ROWS_MIN * 64 - 1, 64), (5000, 48), (1, WIDTH_MAX + 32)])
def test_without_rows_enough_or_whole_blocks_nothing_is_learned(count, width):
    assert Calibration.of_rows(np.ones((count, width), np.float32)).principal is None


def test_what_is_saved_is_loaded(tmp_path, rows, learned):
    learned.save(tmp_path / "hidden.npz")
    found = load(tmp_path / "hidden.npz")
    assert HiddenCodec(found).encode(rows[:3], INT4) == HiddenCodec(learned).encode(rows[:3], INT4)


@pytest.mark.parametrize(
    "changed",
    [
        {"bits": np.array([4, 4, 5], np.uint8)},
        {"bits": np.array([9, 3, 0], np.uint8)},
        {"bits": np.array([4, 8], np.uint8)},
        {"bits": np.array([4, 4, 4], np.int64)},
        {"basis": np.ones((96, 96), np.float32)},
        {"basis": np.full((96, 96), np.nan, np.float32)},
        {"basis": np.eye(64, dtype=np.float32)},
    ],
)
def test_directions_that_are_none_are_refused(tmp_path, changed):
    whole = {"mean": np.zeros(96, np.float32), "signs": np.ones(96, np.int8), "basis": np.eye(96, dtype=np.float32)}
    np.savez(tmp_path / "hidden.npz", **{**whole, "bits": np.array([4, 4, 4], np.uint8), **changed})
    with pytest.raises(BundleError, match=r"hidden\.npz"):
        load(tmp_path / "hidden.npz")


def test_a_basis_without_its_bits_is_refused(tmp_path, learned):
    learned.save(tmp_path / "whole.npz")
    with zipfile.ZipFile(tmp_path / "whole.npz") as whole, zipfile.ZipFile(tmp_path / "hidden.npz", "w") as part:
        for name in ("mean.npy", "signs.npy", "basis.npy"):
            part.writestr(name, whole.read(name))
    with pytest.raises(BundleError, match="does not hold just"):
        load(tmp_path / "hidden.npz")


def test_golden_bytes():
    """Exact on every machine: a basis of eighths, and rows of whole numbers."""
    rows = np.arange(-64, 64, dtype=np.float32).reshape(2, 64) ** 2 / 64
    principal = Principal(hadamard(64), np.array([5, 3], np.uint8))
    codec = HiddenCodec(Calibration(np.full(64, 2, np.float32), np.ones(64, np.float32), principal))
    assert codec.encode(rows, INT4).hex() == GOLDEN
    assert codec.decode(bytes.fromhex(GOLDEN), 2)[:, [0, 1, 31, 63]].tolist() == [
        [58.76171875, 58.76171875, 19.39453125, -4.98046875],
        [-0.76953125, -0.76953125, 14.890625, 59.7734375],
    ]
