import pytest

from isthmus.errors import ExportError, UsageError
from isthmus.export.cutting import cuts


def test_every_node_but_the_last_ends_a_head(handmade):
    found = cuts.enumerate(handmade["skip"])
    assert [cut.node for cut in found] == [node.name for node in handmade["skip"].graph][:-1]
    assert [cut.index for cut in found] == list(range(7))


def test_a_skip_connection_keeps_its_tensor_alive(handmade):
    by_operator = {cut.tensors[-1]: cut.tensors for cut in cuts.enumerate(handmade["skip"])}
    assert by_operator["second"] == ("active", "second")
    assert by_operator["sum"] == ("active", "sum")
    assert by_operator["joined"] == ("joined",)


def test_bytes_and_flops_are_at_batch_one(handmade):
    cut = cuts.find(cuts.enumerate(handmade["skip"]), "active")
    assert (cut.bytes, cut.shapes, cut.dtypes) == (4 * 4 * 64, (("batch", 4, 8, 8),), ("FLOAT",))
    assert cut.flops_before == 2 * 4 * 64 * 27
    assert 0 < cut.flops_share < 1


def test_parameters_before_grow_to_those_of_the_head(handmade):
    found = cuts.enumerate(handmade["skip"])
    assert found[0].parameters_before == 4 * 27 + 4
    assert found[2].parameters_before == 4 * 27 + 4 + 4 * 36 + 4


def test_inputs_the_tail_still_reads_are_named_and_weighed(handmade):
    cut = cuts.find(cuts.enumerate(handmade["two_inputs"]), "second")
    assert cut.inputs_crossing == ("gain",)
    assert cut.tensors == ("early", "second")
    assert cut.bytes == 3 * 4 * 4 * 64
    assert not cut.is_single


def test_a_free_width_leaves_the_bytes_open(handmade):
    assert all(cut.bytes is None for cut in cuts.enumerate(handmade["enlarged"]))


def test_a_model_of_one_node_has_no_cut(model_of):
    with pytest.raises(ExportError, match="no place to cut: 1 nodes"):
        cuts.enumerate(model_of("n (float[batch, 4] x) => (float[batch, 4] y) { y = Relu (x) }"))


@pytest.mark.parametrize("selector", ["active", "Relu_1", "1", "#1"])
def test_a_cut_is_found_by_tensor_node_and_number(handmade, selector):
    handmade["skip"].graph[1].name = "Relu_1"
    assert cuts.find(cuts.enumerate(handmade["skip"]), selector).tensors == ("active",)


def test_a_name_goes_before_a_number(handmade):
    handmade["skip"].graph[4].outputs[0].name = "1"
    found = cuts.enumerate(handmade["skip"])
    assert cuts.find(found, "1").index == 4
    assert cuts.find(found, "#1").index == 1


def test_a_share_takes_the_smallest_single_tensor_before_it_behind_its_activation(handmade):
    found = cuts.enumerate(handmade["skip"])
    assert cuts.find(found, "50%").tensors == ("active",)
    assert cuts.find(found, "100%").tensors == ("flat",)


def test_a_share_before_every_tensor_is_refused(handmade):
    with pytest.raises(UsageError, match=r"at or before 1.0% of the FLOPs; the first lies at 4\d\.\d%"):
        cuts.find(cuts.enumerate(handmade["skip"]), "1%")


def test_auto_stays_within_half_of_the_flops(residual_source):
    cut = cuts.find(cuts.enumerate(residual_source.model), "auto")
    assert cut.is_single
    assert len(cut.shapes[0]) == 4
    assert cuts.AUTO_SHARE[0] <= cut.flops_share <= cuts.AUTO_SHARE[1]


@pytest.fixture
def made_cut():
    """A cut in the middle of the FLOPs; what matters to a test is given."""

    def make(index, **changes):
        facts = {"tensors": (f"t{index}",), "operator": "Relu", "node": f"n{index}", "shapes": (("batch", 8, 4, 4),)}
        facts |= {
            "dtypes": ("FLOAT",),
            "bytes": 512,
            "values": 128,
            "flops_before": 40,
            "flops_share": 0.4,
            "parameters_before": 0,
        }
        return cuts.Cut(index=index, **facts | changes)

    return make


def test_auto_prefers_a_map_to_a_smaller_vector(made_cut):
    vector = made_cut(0, shapes=(("batch", 8),), values=8)
    assert cuts.find([vector, made_cut(1)], "auto").index == 1
    assert cuts.find([vector], "auto").index == 0


def test_auto_prefers_the_window_to_a_smaller_map_before_it(made_cut):
    early = made_cut(0, flops_share=0.1, values=4)
    assert cuts.find([early, made_cut(1)], "auto").index == 1
    assert cuts.find([early, made_cut(2, flops_share=0.9)], "auto").index == 0


def test_auto_takes_the_earliest_of_equals_that_arithmetic_parts(made_cut):
    assert cuts.find([made_cut(3), made_cut(4, flops_before=50)], "auto").index == 3


def test_auto_takes_the_last_of_equals_with_nothing_but_activations_between(made_cut):
    assert cuts.find([made_cut(3), made_cut(4)], "auto").index == 4


def test_auto_counts_values_and_not_the_bytes_of_their_storage(made_cut):
    half = made_cut(1, dtypes=("FLOAT16",), bytes=512, values=256)
    assert cuts.find([made_cut(0), half], "auto").index == 0


def test_auto_takes_tokens_as_well_as_maps(made_cut):
    tokens = made_cut(2, shapes=(("batch", 16, 4),), values=64)
    assert cuts.find([made_cut(0), tokens], "auto").index == 2


def test_auto_prefers_codes_to_the_floats_beside_them(made_cut):
    codes = made_cut(3, dtypes=("UINT8",), codes=("t3",))
    assert cuts.find([made_cut(2), codes, made_cut(4)], "auto").index == 3
    assert cuts.find([made_cut(2), codes, made_cut(4)], "auto", floats_only=True).index == 4


@pytest.mark.parametrize("shape", [(1, "384*batch", 2), ("8*batch", 4, 4), (8, "batch", 4)])
def test_auto_passes_over_tensors_whose_rows_are_not_the_batch(made_cut, shape):
    odd = made_cut(4, shapes=(shape,), values=4)
    assert cuts.find([made_cut(3), odd], "auto").index == 3


@pytest.mark.parametrize(
    "changes",
    [{"dtypes": ("UINT8",)}, {"values": None}, {"inputs_crossing": ("x",)}, {"flops_share": 0.0}, {"flops_share": 1.0}],
)
def test_auto_refuses_what_is_no_single_tensor_of_floats_or_codes_between_work(made_cut, changes):
    with pytest.raises(UsageError, match="'auto'"):
        cuts.find([made_cut(0, **changes)], "auto")


def test_an_unknown_name_names_its_neighbours(handmade):
    with pytest.raises(UsageError, match=r"no tensor or node 'activ'.*did you mean 'active'"):
        cuts.find(cuts.enumerate(handmade["skip"]), "activ")


def test_a_number_out_of_range_names_the_range(handmade):
    with pytest.raises(UsageError, match="no cut number 99; numbers run from 0 to 6"):
        cuts.find(cuts.enumerate(handmade["skip"]), "99")


def test_several_tensors_name_the_cut_that_consists_of_them(handmade):
    assert cuts.find(cuts.enumerate(handmade["skip"]), "second, active").tensors == ("active", "second")


def test_a_tensor_inside_a_branch_is_refused_with_the_operator(handmade):
    model = handmade["branched"]
    with pytest.raises(UsageError, match="'kept' lies inside a body of If"):
        cuts.find(cuts.enumerate(model), "kept", model=model)


def test_places_where_a_sequence_would_cross_are_left_out(model_of):
    model = model_of(
        """network (float[batch, 4] x) => (float[batch, 8] answer) {
            active = Relu (x)
            parts = SplitToSequence <axis = 1> (active)
            joined = ConcatFromSequence <axis = 1> (parts)
            answer = Concat <axis = 1> (joined, active)
        }"""
    )
    assert [cut.tensors for cut in cuts.enumerate(model)] == [("active",), ("active", "joined")]


def test_values_inside_a_branch_are_no_cuts(handmade):
    found = cuts.enumerate(handmade["branched"])
    assert {name for cut in found for name in cut.tensors} == {"first", "active", "total", "positive"}
