"""Training finds what is in the codes, for boundaries of every shape."""

import numpy as np
import pytest
import zstandard

from isthmus.codec import analysis, training
from isthmus.codec.codec import Codec
from isthmus.codec.payload import Mode
from isthmus.codec.training import train_tables
from isthmus.contract.boundary import Boundary, CodeTensor, OperatingPoint
from isthmus.errors import ContractMismatch, ExportError


def make_frames(tensor: CodeTensor, count: int, seed: int) -> list[tuple[np.ndarray]]:
    """Smooth codes whose channels go along with each other, as bottlenecks give them."""
    random = np.random.default_rng(seed)
    inner = tensor.shape[1:] or (1,)
    frames = []
    for _ in range(count):
        field = random.normal(size=(tensor.channels, *inner))
        for axis in range(1, field.ndim):
            field = np.cumsum(field, axis=axis) / np.sqrt(np.arange(1, field.shape[axis] + 1)).reshape(
                [-1 if axis == a else 1 for a in range(field.ndim)]
            )
        field[1:] += 0.8 * field[:-1]
        codes = np.rint(field * 2 ** (tensor.bits - 3)) + (0 if tensor.signed else 2 ** (tensor.bits - 1))
        frames.append((np.clip(codes, tensor.lowest, tensor.highest).astype(tensor.dtype).reshape(tensor.shape),))
    return frames


def codec_for(tensor: CodeTensor, channels: int, count: int = 60) -> Codec:
    boundary = Boundary(tensors=(tensor,))
    points = [OperatingPoint(name="p", channels=(channels,))]
    return Codec(boundary, points, tables=train_tables(make_frames(tensor, count, 0), boundary, points))


PICTURE = CodeTensor(name="a", shape=(6, 12, 12), bits=4)


@pytest.mark.parametrize(
    ("shape", "bits", "signed", "channels"),
    [
        ((6, 12, 12), 4, True, 6),
        ((6, 12, 12), 4, False, 3),
        ((3, 16, 16), 1, True, 3),
        ((3, 16, 16), 8, True, 3),
        ((4, 60), 6, False, 4),
        ((40,), 8, True, 40),
        ((2, 3, 5, 7), 5, True, 2),
        ((1, 1, 1), 2, True, 1),
        ((40, 2, 2), 4, True, 40),
    ],
)
@pytest.mark.parametrize("temporal", [False, True])
def test_boundaries_of_every_kind_are_learned_and_survive(shape, bits, signed, channels, temporal) -> None:
    tensor = CodeTensor(name="a", shape=shape, bits=bits, signed=signed)
    codec = codec_for(tensor, channels, count=12)
    (frame,), (before,) = make_frames(tensor, 2, 1)
    reference = codec.kept([before]) if temporal else None
    (back,) = codec.decode(codec.encode([frame], reference=reference), reference=reference)
    assert (back[:channels] == frame[:channels]).all()
    assert not back[channels:].any()


def test_trained_tables_need_far_fewer_bytes_than_zstandard() -> None:
    codec = codec_for(PICTURE, 6)
    unseen = make_frames(PICTURE, 20, 1)
    ours = sum(len(codec.encode(frame)) for frame in unseen)
    theirs = sum(len(zstandard.ZstdCompressor(level=19).compress((frame[0] + 8).astype(np.uint8).tobytes())) for frame in unseen)
    assert ours < 0.75 * theirs


def test_a_reference_that_is_alike_makes_a_payload_small_and_temporal() -> None:
    codec = codec_for(PICTURE, 6)
    (frame,) = make_frames(PICTURE, 1, 1)[0]
    before = frame.copy()
    before[:, 3:5, 3:5] = 0
    key, temporal = codec.encode([frame]), codec.encode([frame], reference=[before])
    assert (key[0], temporal[0]) == (Mode.INTRA, Mode.TEMPORAL)
    assert len(temporal) < len(key) / 2


def test_pairs_from_a_camera_are_taken_where_there_are_any() -> None:
    boundary, points = Boundary(tensors=(PICTURE,)), [OperatingPoint(name="p", channels=(6,))]
    frames = make_frames(PICTURE, 40, 0)
    still = [(frame, frame) for frame in frames]
    made_up = Codec(boundary, points, tables=train_tables(frames, boundary, points))
    real = Codec(boundary, points, tables=train_tables(frames, boundary, points, pairs=still))
    (frame,) = make_frames(PICTURE, 1, 1)
    assert len(real.encode(frame, reference=frame)) < len(made_up.encode(frame, reference=frame))


def test_every_point_and_tensor_gets_tables_of_its_own() -> None:
    boundary = Boundary(tensors=(PICTURE, CodeTensor(name="b", shape=(9,), bits=3)))
    points = [OperatingPoint(name="full", channels=(6, 9)), OperatingPoint(name="half", channels=(3, 1))]
    frames = [
        (one, other) for (one,), (other,) in zip(make_frames(PICTURE, 9, 0), make_frames(boundary.tensors[1], 9, 0), strict=True)
    ]
    tables = train_tables(frames, boundary, points)
    assert {(key, tuple(len(table.channels) for table in found)) for key, found in tables.tables.items()} == {
        ((0, Mode.INTRA), (6, 9)),
        ((0, Mode.TEMPORAL), (6, 9)),
        ((1, Mode.INTRA), (3, 1)),
        ((1, Mode.TEMPORAL), (3, 1)),
    }


def test_training_twice_gives_the_same_tables() -> None:
    boundary, points = Boundary(tensors=(PICTURE,)), [OperatingPoint(name="p", channels=(6,))]
    one, other = (train_tables(make_frames(PICTURE, 20, 0), boundary, points).arrays() for _ in range(2))
    assert {name: words.tolist() for name, words in one.items()} == {name: words.tolist() for name, words in other.items()}


def test_a_dozen_channels_of_4_bits_take_about_8_kilobytes() -> None:
    tensor = CodeTensor(name="a", shape=(12, 8, 8), bits=4)
    boundary, points = Boundary(tensors=(tensor,)), [OperatingPoint(name="p", channels=(12,))]
    (table,) = train_tables(make_frames(tensor, 30, 0), boundary, points).tables[0, Mode.INTRA]
    assert table.words().nbytes < 12_000


def test_a_point_that_is_too_wide_gets_no_tables() -> None:
    wide = CodeTensor(name="a", shape=(1025, 1), bits=4)
    tables = train_tables(
        [(np.zeros((1025, 1), np.int8),)], Boundary(tensors=(wide,)), [OperatingPoint(name="p", channels=(1025,))]
    )
    assert tables.modes == ()


def test_without_frames_there_is_nothing_to_learn() -> None:
    with pytest.raises(ExportError, match="at least one"):
        train_tables([], Boundary(tensors=(PICTURE,)), [OperatingPoint(name="p", channels=(6,))])


def test_frames_of_another_boundary_are_a_mismatch() -> None:
    with pytest.raises(ContractMismatch):
        train_tables([(np.zeros((2, 2), np.int8),)], Boundary(tensors=(PICTURE,)), [OperatingPoint(name="p", channels=(6,))])


def test_of_very_many_frames_a_part_is_looked_at(monkeypatch) -> None:
    monkeypatch.setattr(training, "SYMBOLS_MAX", 5 * 864)
    (table,) = train_tables(
        make_frames(PICTURE, 50, 0), Boundary(tensors=(PICTURE,)), [OperatingPoint(name="p", channels=(6,))]
    ).tables[0, Mode.INTRA]
    assert len(table.channels) == 6


def test_of_frames_of_even_columns_no_column_is_overlooked(monkeypatch) -> None:
    """Every other cell would be those of one column only."""
    monkeypatch.setattr(training, "COUNTED_MAX", 1000)
    random = np.random.default_rng(0)
    frames = np.zeros((200, 1, 5, 2), np.int32)
    frames[..., 1] = random.integers(0, 16, (200, 1, 5))
    table = training.train_table(analysis.Batch(frames), 4)
    assert analysis.bits(analysis.Batch(frames), table)[..., 1].mean() < 4.5
