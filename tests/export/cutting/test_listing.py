import pytest

from isthmus.export.cutting import cuts
from isthmus.export.cutting.listing import crossing_count, shortlist


@pytest.fixture
def made_cut():
    """A cut of `tensors` tensors and `size` bytes."""

    def make(index, *, tensors=1, size=1000, flops=None, dtypes="FLOAT", inputs=()):
        names = tuple(f"t{index}_{number}" for number in range(tensors))
        facts = {"shapes": (("batch", 8, 4, 4),) * tensors, "dtypes": (dtypes,) * tensors, "bytes": size, "values": size}
        flops = index if flops is None else flops
        return cuts.Cut(
            index=index, tensors=names, operator="Add", node=f"n{index}", flops_before=flops, flops_share=0.5,
            parameters_before=0, inputs_crossing=inputs, **facts,
        )  # fmt: skip

    return make


def indices(shown):
    return [cut.index for cut in shown]


def test_every_single_tensor_behind_arithmetic_is_shown(made_cut):
    assert indices(shortlist([made_cut(0), made_cut(1, size=5000), made_cut(2)])) == [0, 1, 2]


def test_where_nothing_is_computed_only_the_narrowest_is_shown_the_last_of_equals(made_cut):
    found = [made_cut(0, flops=9), made_cut(1, flops=9), made_cut(2, flops=9, size=2000)]
    assert indices(shortlist(found)) == [1]


def test_of_equals_one_that_can_become_codes_is_shown(made_cut):
    assert indices(shortlist([made_cut(0, flops=9), made_cut(1, flops=9, dtypes="INT64")])) == [0]


def test_several_tensors_are_shown_where_they_are_narrower_than_every_single_one_before(made_cut):
    found = [made_cut(0), made_cut(1, tensors=2, size=999), made_cut(2, tensors=2, size=1000), made_cut(3, tensors=4, size=10)]
    assert indices(shortlist(found)) == [0, 1, 3]


def test_inputs_that_cross_count_as_tensors(made_cut):
    cut = made_cut(0, tensors=4, inputs=("x",))
    assert crossing_count(cut) == 5
    assert shortlist([cut]) == []
    assert shortlist([cut], max_tensors=5) == [cut]


def test_cuts_of_unknown_size_are_shown_where_there_are_no_others(made_cut):
    unknown = [made_cut(0, size=None), made_cut(1, size=None)]
    assert shortlist(unknown) == unknown
    assert indices(shortlist([*unknown, made_cut(2)])) == [2]


def test_the_shortlist_of_a_network_keeps_its_auto_cut(residual_source):
    found = cuts.enumerate(residual_source.model)
    shown = shortlist(found)
    assert cuts.find(found, "auto") in shown
    assert len(shown) < len(found)
