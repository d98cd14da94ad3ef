import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.bench import drawing
from isthmus.bench.drawing import Drawing


@given(low=st.floats(-1e6, 1e6), span=st.floats(1e-3, 1e6), count=st.integers(1, 12))
def test_ticks_lie_inside_and_are_evenly_apart(low: float, span: float, count: int) -> None:
    found = drawing.ticks(low, low + span, count)
    steps = [(after - before) / span for before, after in itertools.pairwise(found)] or [0.0]
    assert len(found) <= count + 1
    assert max(steps) - min(steps) < 1e-6
    assert all(low - span * 1e-6 <= value <= low + span * 1.000001 for value in found)


@given(low=st.floats(1e-2, 1e5), factor=st.floats(1.5, 1e6))
def test_logarithmic_ticks_lie_inside_and_are_few(low: float, factor: float) -> None:
    found = drawing.logarithmic_ticks(low, low * factor)
    assert all(low * 0.99 <= value <= low * factor * 1.01 for value in found)
    assert len(found) <= 10


def test_a_scale_maps_its_ends_and_nothing_below_the_lowest() -> None:
    across = drawing.logarithmic(10, 1000, 0, 200)
    assert [across(value) for value in (10, 100, 1000, 0)] == pytest.approx([0, 100, 200, 0])


def test_a_scale_of_one_value_does_not_divide_by_zero() -> None:
    assert drawing.linear(5, 5, 0, 100)(5) == 0


def test_every_text_is_escaped() -> None:
    page = Drawing(10, 10, description='a "quoted" <thing>')
    page.text((1, 1), "<script>alert(1)</script>")
    page.rectangle((0, 0), (1, 1), tip="<b>&", colour='"><script>')
    page.path("M0 0", tip="</title><script>")
    assert "<script" not in page.svg()
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page.svg()
    assert 'aria-label="a &#34;quoted&#34; &lt;thing&gt;"' in page.svg()
