import zipfile

import numpy as np
import pytest

from isthmus.codec.payload import Mode
from isthmus.codec.planes import Layout
from isthmus.codec.tables import CodecTables, load
from isthmus.contract.boundary import Boundary, CodeTensor, OperatingPoint
from isthmus.errors import BundleError

BOUNDARY = Boundary(tensors=(CodeTensor(name="a", shape=(2, 3, 3), bits=4), CodeTensor(name="b", shape=(5,), bits=8)))
FULL = OperatingPoint(name="full", channels=(2, 5))
LAYOUTS = (Layout(2, 3, 3, 4), Layout(5, 1, 1, 8))


@pytest.fixture
def tables(make_table) -> CodecTables:
    intra = tuple(make_table(1, layout) for layout in LAYOUTS)
    temporal = tuple(make_table(2, layout, temporal=True) for layout in LAYOUTS)
    return CodecTables({(0, Mode.INTRA): intra, (0, Mode.TEMPORAL): temporal})


def test_tables_come_back_from_their_file(tables, tmp_path) -> None:
    tables.save(tmp_path / "codec.npz")
    back = load(tmp_path / "codec.npz")
    assert {name: words.tolist() for name, words in back.arrays().items()} == {
        name: words.tolist() for name, words in tables.arrays().items()
    }
    assert back.modes == (Mode.INTRA, Mode.TEMPORAL)
    assert [one.layout for one in back.coding((0, Mode.TEMPORAL), BOUNDARY, FULL)] == list(LAYOUTS)


def test_the_same_tables_give_the_same_bytes(tables, tmp_path) -> None:
    tables.save(tmp_path / "one")
    tables.save(tmp_path / "two")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_a_point_without_tables_is_coded_without(tables) -> None:
    assert tables.coding((1, Mode.INTRA), BOUNDARY, FULL) == ()


@pytest.mark.parametrize(
    ("boundary", "channels"),
    [
        (BOUNDARY, (1, 5)),
        (Boundary(tensors=BOUNDARY.tensors[:1]), (2,)),
        (Boundary(tensors=(CodeTensor(name="a", shape=(2, 3, 3), bits=5), BOUNDARY.tensors[1])), (2, 5)),
    ],
)
def test_tables_of_another_boundary_are_refused(tables, boundary, channels) -> None:
    with pytest.raises(BundleError, match="codec table"):
        tables.coding((0, Mode.INTRA), boundary, OperatingPoint(name="full", channels=channels))


def test_temporal_tables_under_the_name_of_intra_are_refused(tables) -> None:
    swapped = CodecTables({(0, Mode.INTRA): tables.tables[0, Mode.TEMPORAL]})
    with pytest.raises(BundleError, match="export the bundle again"):
        swapped.coding((0, Mode.INTRA), BOUNDARY, FULL)


@pytest.mark.parametrize("name", ["point0_intra_00", "point0_raw_0", "points0_intra_0", "point0_intra_0x", "../point0_intra_0"])
def test_an_array_with_a_foreign_name_is_refused(tmp_path, name) -> None:
    np.savez(tmp_path / "codec.npz", **{name: np.zeros(3, np.int16)})
    with pytest.raises(BundleError, match="codec tables"):
        load(tmp_path / "codec.npz")


def test_a_missing_tensor_is_noticed(tables, tmp_path) -> None:
    arrays = tables.arrays()
    del arrays["point0_intra_0"]
    np.savez(tmp_path / "codec.npz", **arrays)
    with pytest.raises(BundleError, match="one is missing"):
        load(tmp_path / "codec.npz")


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04nonsense", b"\x93NUMPY"])
def test_a_file_that_is_no_npz_is_refused(tmp_path, data) -> None:
    (tmp_path / "codec.npz").write_bytes(data)
    with pytest.raises(BundleError, match="cannot be read"):
        load(tmp_path / "codec.npz")


def test_every_truncation_of_the_file_is_refused(tables, tmp_path) -> None:
    tables.save(tmp_path / "codec.npz")
    data = (tmp_path / "codec.npz").read_bytes()
    for length in range(0, len(data), 97):
        (tmp_path / "cut.npz").write_bytes(data[:length])
        with pytest.raises(BundleError):
            load(tmp_path / "cut.npz")


def test_objects_in_the_file_are_never_unpickled(tmp_path) -> None:
    with zipfile.ZipFile(tmp_path / "codec.npz", "w") as archive, archive.open("point0_intra_0.npy", "w") as member:
        np.lib.format.write_array(member, np.array([print], dtype=object), allow_pickle=True)
    with pytest.raises(BundleError, match="cannot be read"):
        load(tmp_path / "codec.npz")
