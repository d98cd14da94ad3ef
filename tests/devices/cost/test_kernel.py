import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.devices.cost.kernel import read_recording
from isthmus.errors import DeviceError


def event(name, operator, dur, *, inputs=(), outputs=(), index="0", **sizes):
    arguments = {"op_name": operator, "provider": "CPUExecutionProvider", "node_index": index}
    arguments |= {"input_type_shape": [{"float": shape} for shape in inputs]}
    arguments |= {"output_type_shape": [{"float": shape} for shape in outputs]}
    return {
        "cat": "Node",
        "name": f"{name}_kernel_time",
        "dur": dur,
        "args": arguments | {key: str(value) for key, value in sizes.items()},
    }


CONV = {"inputs": [[1, 3, 8, 8], [16, 3, 3, 3], [16]], "outputs": [[1, 16, 8, 8]]}


def test_a_kernel_has_its_median_its_arithmetic_and_its_bytes():
    runs = [
        event("conv", "Conv", dur, **CONV, activation_size=768, parameter_size=1792, output_size=4096) for dur in (90, 10, 30, 20)
    ]
    [kernel] = read_recording(json.dumps([{"cat": "Session", "name": "model_loading"}, *runs]), skip=1)
    assert (kernel.name, kernel.operator, kernel.seconds) == ("conv", "Conv", 20e-6)
    assert (kernel.flops, kernel.moved_bytes) == (2 * 16 * 8 * 8 * 3 * 3 * 3, 768 + 1792 + 4096)


@pytest.mark.parametrize(
    ("operator", "inputs", "outputs", "flops"),
    [
        ("MatMul", [[1, 7, 64], [64, 32]], [[1, 7, 32]], 2 * 7 * 64 * 32),
        ("Gemm", [[1, 64], [10, 64], [10]], [[1, 10]], 2 * 64 * 10),
        ("QLinearConv", [[1, 3, 8, 8], [1], [1], [16, 3, 1, 1]], [[1, 16, 8, 8]], 2 * 16 * 64 * 3),
        ("Relu", [[1, 3]], [[1, 3]], 0),
        ("Conv", [], [], 0),
    ],
)
def test_arithmetic_is_counted_from_the_shapes_that_went_through(operator, inputs, outputs, flops):
    [kernel] = read_recording(json.dumps([event("x", operator, 1, inputs=inputs, outputs=outputs)]))
    assert kernel.flops == flops


def test_two_nodes_of_one_name_are_two_kernels_in_the_order_in_which_they_ran():
    text = json.dumps([event("", "Add", 1, index="5"), event("b", "Mul", 2, index="6"), event("", "Add", 3, index="7")])
    assert [kernel.seconds for kernel in read_recording(text)] == [1e-6, 2e-6, 3e-6]


@pytest.mark.parametrize(
    "text", ["", "{}", "[1]", '[{"cat": "Node", "name": "x_kernel_time", "args": {}}]', "[]", '[{"cat": "Session"}]']
)
def test_what_is_no_recording_is_a_device_error(text):
    with pytest.raises(DeviceError, match="recording"):
        read_recording(text)


@given(st.text(max_size=50))
def test_any_text_is_a_device_error(text):
    with pytest.raises(DeviceError):
        read_recording(text)


def test_runs_that_only_warmed_up_do_not_count():
    with pytest.raises(DeviceError, match="no kernel in more than 1 runs"):
        read_recording(json.dumps([event("x", "Add", 1)]), skip=1)
