import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus.contract import detection
from isthmus.export.detectors import suppression
from isthmus.export.detectors.decoding import Piece
from isthmus.export.graph.session import Session

PLACES, CLASSES = 40, 3
OVERLAP_MAX = 0.4567
"""No ratio of small integers, so that no pair lies on the edge."""
# Corners, scores and classes side by side: a piece that decodes nothing.
PLAIN = Piece(
    nodes="""
        corners, confidence_column, kind_column = Split <axis = 2> (raw, parts)
        confidences = Squeeze (confidence_column, last_axis)
        kind_floats = Squeeze (kind_column, last_axis)
        kinds = Cast <to = 7> (kind_floats)
        nothing = Mul (raw, zero)
        poison = ReduceSum <keepdims = 0> (nothing, both)
    """,
    constants={"parts": np.array([4, 1, 1]), "last_axis": np.array([2]), "both": np.array([1, 2])},
)


def session(overlap_max, *, places=PLACES, opset=17, rows="batch"):
    raw = ir.Value(name="raw", type=ir.TensorType(ir.DataType.FLOAT), shape=ir.Shape([rows, places, 6]))
    return Session(
        suppression.processing(PLAIN, {"raw": raw}, places=places, classes=CLASSES, overlap_max=overlap_max, opset=opset)
    )


@pytest.fixture(scope="module")
def suppressing():
    return session(OVERLAP_MAX)


@pytest.fixture(scope="module")
def sorting():
    return session(None)


def share(one, other):
    across = min(one[2], other[2]) - max(one[0], other[0])
    down = min(one[3], other[3]) - max(one[1], other[1])
    inside = max(across, 0) * max(down, 0)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return inside / (sum(areas) - inside)


def kept_by_hand(rows):
    """Greedy suppression class by class, one box after the other."""
    kept = []
    for row in sorted(rows.tolist(), key=lambda row: -row[4]):
        if row[4] > suppression.SCORE_FLOOR and all(
            share(row[:4], other[:4]) <= OVERLAP_MAX for other in kept if other[5] == row[5]
        ):
            kept.append(row)
    return kept


@st.composite
def frames(draw):
    """float32[1, PLACES, 6] of boxes that overlap much, no two of one score."""
    small = st.integers(1, 12)
    rows = draw(st.lists(st.tuples(small, small, small, small, st.integers(0, CLASSES - 1)), min_size=PLACES, max_size=PLACES))
    scores = draw(st.permutations(range(PLACES)))
    return np.array(
        [[(x, y, x + w, y + h, score / PLACES, kind) for (x, y, w, h, kind), score in zip(rows, scores, strict=True)]],
        np.float32,
    )


@settings(max_examples=60)
@given(frame=frames())
def test_what_is_kept_is_what_a_loop_keeps(suppressing, frame):
    found = detection.read(suppressing.run({"raw": frame}))
    rows = [[*box, score, kind] for box, score, kind in zip(found.boxes, found.scores, found.classes, strict=True)]
    assert np.array(rows) == pytest.approx(np.array(kept_by_hand(frame[0])))


@settings(max_examples=30)
@given(frame=frames())
def test_without_suppression_the_best_places_come_as_they_are(sorting, frame):
    found = detection.read(sorting.run({"raw": frame}))
    wanted = sorted((row for row in frame[0].tolist() if row[4] > suppression.SCORE_FLOOR), key=lambda row: -row[4])
    assert found.scores.tolist() == [row[4] for row in wanted]
    assert found.classes.tolist() == [row[5] for row in wanted]


@settings(max_examples=20)
@given(one=frames(), other=frames())
def test_frames_in_a_batch_do_not_meet(suppressing, one, other):
    together = suppressing.run({"raw": np.concatenate([one, other, one])})
    for index, frame in enumerate((one, other, one)):
        alone = suppressing.run({"raw": frame})
        assert all(np.array_equal(together[name][index : index + 1], alone[name]) for name in alone)


def test_what_is_left_is_filled(suppressing):
    frame = np.zeros((1, PLACES, 6), np.float32)
    frame[0, 7] = (1, 2, 3, 4, 0.5, 2)
    answer = suppressing.run({"raw": frame})
    assert answer["boxes"].shape == (1, PLACES, 4)
    assert answer["scores"][0, :2].tolist() == [0.5, 0.0]
    assert answer["classes"][0, :2].tolist() == [2, detection.NO_CLASS]
    assert not answer["boxes"][0, 1:].any()


@pytest.mark.parametrize("overlap_max", [OVERLAP_MAX, None])
def test_faint_boxes_are_no_boxes(overlap_max):
    frame = np.zeros((1, PLACES, 6), np.float32)
    frame[0, :2] = [(1, 2, 3, 4, 0.011, 1), (11, 12, 13, 14, 0.009, 1)]
    assert detection.read(session(overlap_max).run({"raw": frame})).scores.tolist() == pytest.approx([0.011])


def test_nothing_seen_is_an_answer(suppressing):
    answer = suppressing.run({"raw": np.zeros((2, PLACES, 6), np.float32)})
    assert not answer["scores"].any()
    assert (answer["classes"] == detection.NO_CLASS).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_no_number_does_not_pass_for_nothing_seen(suppressing, bad):
    frames = np.zeros((2, PLACES, 6), np.float32)
    frames[1, 3, 0] = bad
    scores = suppressing.run({"raw": frames})["scores"]
    assert np.isfinite(scores[0]).all()
    assert np.isnan(scores[1]).all()


@pytest.mark.parametrize("overlap_max", [OVERLAP_MAX, None])
def test_a_hundred_boxes_are_the_most(overlap_max):
    places = 1500
    frame = np.zeros((1, places, 6), np.float32)
    frame[0, :, 0] = frame[0, :, 1] = np.arange(places) * 10
    frame[0, :, 2:4] = frame[0, :, :2] + 5
    frame[0, :, 4] = np.linspace(0.1, 0.9, places)
    answer = session(overlap_max, places=places).run({"raw": frame})
    assert answer["scores"][0] == pytest.approx(frame[0, :-101:-1, 4])


@pytest.mark.parametrize("opset", [11, 13, 18, 21])
def test_newer_and_older_networks_get_the_same(opset, suppressing):
    frame = np.random.default_rng(opset).random((1, PLACES, 6), dtype=np.float32)
    frame[..., 2:4] += frame[..., :2]
    frame[..., 5] = np.arange(PLACES) % CLASSES
    answer, wanted = (one.run({"raw": frame}) for one in (session(OVERLAP_MAX, opset=opset), suppressing))
    assert all(np.array_equal(answer[name], wanted[name]) for name in wanted)
