import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import given
from hypothesis import strategies as some

from isthmus.errors import ExportError
from isthmus.export.int8 import ranges
from isthmus.export.int8.ranges import Spread, fitted, spreads


def spread(values):
    values = np.asarray(values, np.float32)
    return Spread(low=min(0.0, float(values.min())), high=max(0.0, float(values.max())), values=values)


def restored(grid, values):
    low, high = (-128, 127) if grid.kind == "int8" else (0, 255)
    return (np.clip(np.round(values / grid.scale) + grid.zero_point, low, high) - grid.zero_point) * grid.scale


@given(low=some.floats(-1e3, 0), high=some.floats(0, 1e3), kind=some.sampled_from(["uint8", "int8"]))
def test_zero_is_always_exact_and_its_code_fits(low, high, kind):
    grid = fitted(spread(np.linspace(low, high, 50)), kind)
    assert grid.scale > 0
    assert (grid.zero_point == 0) if kind == "int8" else (0 <= grid.zero_point <= 255)
    assert restored(grid, np.zeros(1)) == 0


def test_what_is_never_negative_uses_all_codes_from_zero():
    grid = fitted(spread(np.linspace(0, 10, 100)), "uint8")
    assert (grid.zero_point, grid.scale) == (0, pytest.approx(10 / 255))


def test_rare_large_values_are_clipped():
    values = np.append(np.random.default_rng(0).normal(size=100_000), [30, -30])
    grids = (fitted(spread(values), "int8"), ranges.Grid(scale=30 / 127, zero_point=0, kind="int8"))
    clipped, whole = (np.square(restored(grid, values) - values).mean() for grid in grids)
    assert clipped < whole


def test_tensors_are_looked_at_picture_by_picture(handmade):
    model = handmade["skip"]
    values = ir.convenience.create_value_mapping(model.graph)
    wanted = [values["x"], values["active"]]
    pictures = np.random.default_rng(0).normal(size=(3, 1, 3, 8, 8)).astype(np.float32)
    pictures[0] *= 2  # the extremes are not those of the last
    found = spreads(model, wanted, iter(pictures))
    assert set(found) == {"x", "active"}
    assert (found["x"].low, found["x"].high) == (pytest.approx(pictures.min()), pytest.approx(pictures.max()))
    assert found["active"].low == 0.0
    assert len(found["active"].values) == 3 * 4 * 8 * 8


def test_values_that_are_not_finite_are_refused(handmade):
    model = handmade["skip"]
    with pytest.raises(ExportError, match="tensor x of the head has values that are not finite"):
        spreads(model, list(model.graph.inputs), [np.full((1, 3, 8, 8), np.nan, np.float32)])
