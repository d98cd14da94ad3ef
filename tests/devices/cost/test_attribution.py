import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.devices.cost.attribution import Node, seconds_by_node
from isthmus.devices.cost.kernel import Kernel

NODES = [
    Node(name="Conv_0", outputs=("a",)),
    Node(name="Relu_1", outputs=("b",)),
    Node(name="Reshape_13", outputs=("c",)),
    Node(name="Conv_12", outputs=("d",)),
]


def kernel(name, seconds=1.0):
    return Kernel(name=name, operator="Conv", provider="CPU", seconds=seconds, flops=0, moved_bytes=0)


@pytest.mark.parametrize(
    ("name", "place"),
    [("Conv_0", 0), ("b_nchwc", 1), ("Reshape_13_new_reshape", 2), ("d", 3), ("Conv_12/Fusion/", 3), ("Conv_12_nchwc", 3)],
)
def test_a_kernel_is_known_by_its_node_or_by_the_tensor_it_gives(name, place):
    found = seconds_by_node([kernel(name)], NODES)
    assert found[place] == sum(found) == 1.0


def test_a_change_of_layout_belongs_to_what_ran_before_it():
    kernels = [kernel("b_nchwc", 2.0), kernel("ReorderOutput_token_7", 0.5), kernel("d", 1.0)]
    assert seconds_by_node(kernels, NODES) == [0.0, 2.5, 0.0, 1.0]


def test_a_name_that_only_begins_alike_is_another_one():
    assert seconds_by_node([kernel("Conv_123")], NODES) == [1.0, 0.0, 0.0, 0.0]


@given(st.lists(st.tuples(st.text(max_size=8), st.floats(0, 1)), max_size=20))
def test_no_time_is_lost_whatever_kernels_are_called(kernels):
    found = seconds_by_node([kernel(name, seconds) for name, seconds in kernels], NODES)
    assert sum(found) == pytest.approx(sum(seconds for _, seconds in kernels))
