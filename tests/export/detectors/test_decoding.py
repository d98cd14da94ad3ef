"""Every family against its formula, place by place, as one would write it down from the paper."""

import math

import numpy as np
import onnx_ir as ir
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus.export.detectors import decoding, suppression
from isthmus.export.detectors.decoding import Grid
from isthmus.export.graph.session import Session

CLASSES = 4
SEEDS = st.integers(0, 2**32 - 1)


def best(outputs):
    """(score, class, box) of the surest place of the first frame."""
    return outputs["scores"][0, 0], outputs["classes"][0, 0], outputs["boxes"][0, 0]


def session(piece, shapes, places, *, classes=CLASSES, dtype=ir.DataType.FLOAT):
    values = {
        name: ir.Value(name=name, type=ir.TensorType(dtype), shape=ir.Shape(["batch", *shape])) for name, shape in shapes.items()
    }
    return Session(suppression.processing(piece, values, places=places, classes=classes, overlap_max=None, opset=17))


def surest(rows):
    """The best of (score, class, cx, cy, w, h) as `best` has it."""
    score, kind, x, y, w, h = max(rows, key=lambda row: row[0])
    return score, kind, (x - w / 2, y - h / 2, x + w / 2, y + h / 2)


def check(outputs, rows):
    score, kind, box = surest(rows)
    found = best(outputs)
    assert found[0] == pytest.approx(score, rel=1e-5)
    assert found[1] == kind
    assert found[2] == pytest.approx(box, rel=1e-4, abs=1e-3)


def numbers(seed, shape):
    return np.random.default_rng(seed).random((1, *shape), dtype=np.float32)


GRID = Grid(width=96, height=64, strides=(8, 16, 32))
CELLS = [(column, row, stride) for stride in (8, 16, 32) for row in range(64 // stride) for column in range(96 // stride)]


def test_a_grid_counts_its_cells_row_by_row():
    assert len(GRID) == len(CELLS) == 126
    assert GRID.corners().tolist() == [[column, row] for column, row, _ in CELLS]
    assert GRID.steps()[:, 0].tolist() == [stride for _, _, stride in CELLS]
    anchored = Grid(width=96, height=64, strides=(32,), anchors=3)
    assert anchored.corners()[:, 0].tolist() == [0, 1, 2] * 6


@pytest.fixture(scope="module")
def yolox():
    return session(decoding.yolox("raw", CLASSES, GRID), {"raw": (126, 5 + CLASSES)}, 126)


@settings(max_examples=20)
@given(seed=SEEDS)
def test_yolox(yolox, seed):
    raw = numbers(seed, (126, 5 + CLASSES))
    rows = [
        (
            row[4] * row[5:].max(),
            row[5:].argmax(),
            (row[0] + column) * stride,
            (row[1] + down) * stride,
            math.exp(row[2]) * stride,
            math.exp(row[3]) * stride,
        )
        for row, (column, down, stride) in zip(raw[0], CELLS, strict=True)
    ]
    check(yolox.run({"raw": raw}), rows)


def test_a_wild_size_stays_finite(yolox):
    raw = numbers(0, (126, 5 + CLASSES))
    raw[0, :, 2:4] = 1e6
    assert np.isfinite(yolox.run({"raw": raw})["boxes"]).all()


@pytest.fixture(scope="module")
def fastestdet():
    grid = Grid(width=96, height=64, strides=(16,))
    return session(decoding.fastestdet("raw", CLASSES, grid), {"raw": (5 + CLASSES, 4, 6)}, 24)


@settings(max_examples=20)
@given(seed=SEEDS)
def test_fastestdet(fastestdet, seed):
    raw = numbers(seed, (5 + CLASSES, 4, 6))
    rows = [
        (
            raw[0, 0, y, x] ** 0.6 * raw[0, 5:, y, x].max() ** 0.4,
            raw[0, 5:, y, x].argmax(),
            (math.tanh(raw[0, 1, y, x]) + x) / 6 * 96,
            (math.tanh(raw[0, 2, y, x]) + y) / 4 * 64,
            96 / (1 + math.exp(-raw[0, 3, y, x])),
            64 / (1 + math.exp(-raw[0, 4, y, x])),
        )
        for y in range(4)
        for x in range(6)
    ]
    check(fastestdet.run({"raw": raw}), rows)


@pytest.mark.parametrize(("objectness", "channels_first"), [(True, False), (False, True)], ids=["yolov5", "yolov8"])
def test_centres_that_are_decoded_become_corners(objectness, channels_first):
    piece = decoding.centred("raw", CLASSES, objectness=objectness, channels_first=channels_first)
    columns = 4 + objectness + CLASSES
    raw = numbers(3, (30, columns))
    given_raw = raw.transpose(0, 2, 1) if channels_first else raw
    chances = raw[0, :, 5:] * raw[0, :, 4:5] if objectness else raw[0, :, 4:]
    rows = [(chance.max(), chance.argmax(), *row[:4]) for row, chance in zip(raw[0], chances, strict=True)]
    check(session(piece, {"raw": given_raw.shape[1:]}, 30).run({"raw": np.ascontiguousarray(given_raw)}), rows)


@settings(max_examples=20)
@given(seed=SEEDS, softmax=st.booleans())
def test_detr_as_its_own_processors_read_it(seed, softmax):
    raw, places = numbers(seed, (12, CLASSES + softmax)) * 6 - 3, numbers(seed + 1, (12, 4))
    piece = decoding.detr("raw", "places_raw", CLASSES, width=96, height=64, softmax=softmax)
    count = 12 if softmax else 12 * CLASSES
    shapes = {"raw": raw.shape[1:], "places_raw": (12, 4)}
    answer = session(piece, shapes, count).run({"raw": raw, "places_raw": places})
    logits = torch.from_numpy(raw)
    if softmax:
        scores, kinds = logits.softmax(-1)[0, :, :-1].max(-1)
        queries = torch.arange(12)
    else:
        scores, flat = torch.topk(logits[0].sigmoid().flatten(), count)
        kinds, queries = flat % CLASSES, flat // CLASSES
    rows = [
        (float(score), int(kind), *(places[0, query] * (96, 64, 96, 64)))
        for score, kind, query in zip(scores, kinds, queries, strict=True)
    ]
    check(answer, rows)


def test_half_floats_are_taken():
    piece = decoding.centred("raw", CLASSES, objectness=True, channels_first=False)
    raw = numbers(5, (30, 5 + CLASSES)).astype(np.float16)
    answer = session(piece, {"raw": raw.shape[1:]}, 30, dtype=ir.DataType.FLOAT16).run({"raw": raw})
    assert answer["scores"].dtype == np.float32
    chances = raw[0, :, 5:].astype(np.float32).max(axis=1) * raw[0, :, 4]
    assert answer["scores"][0, 0] == pytest.approx(chances.max(), rel=1e-3)
