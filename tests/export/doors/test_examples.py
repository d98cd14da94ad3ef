import pytest

from isthmus.errors import ExportError
from isthmus.export.doors import examples


@pytest.mark.parametrize("side", [10_000_000, 2**40])
def test_a_picture_that_fits_no_memory_is_named(model_of, side):
    huge = model_of(f"n (float[batch, 3, {side}, {side}] x) => (float[batch, 3, {side}, {side}] y) {{ y = Relu (x) }}")
    with pytest.raises(ExportError, match=rf"no room for 2 rows of the model's input \(x \[batch,3,{side},{side}\]\)"):
        examples.that_run(huge)
