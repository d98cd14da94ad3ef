import pytest

from isthmus.devices.cost.prediction import KEPT, predict
from isthmus.devices.profiles import catalog
from isthmus.errors import ConfigError

_, USUAL, _ = KEPT


def predicted(table, name="rpi4", **changes):
    return predict(table.model_copy(update=changes), catalog.load(name), created="later")


def test_arithmetic_scales_with_the_peak_and_memory_with_the_bandwidth(table):
    conv, add = predicted(table).networks["whole.onnx"].kernels
    # A core of a Raspberry Pi 4: 14.4 GFLOP/s and 12.8 GB/s.
    assert conv.seconds == pytest.approx(0.01 * 10 * USUAL)
    assert add.seconds == pytest.approx(0.002 * 2 * USUAL)


def test_what_is_predicted_says_so_with_its_error_and_its_bounds(table):
    found = predicted(table)
    assert (found.kind, found.device.profile, found.device.speed) == ("predicted", "rpi4", None)
    assert found.prediction.from_cpu == "Example CPU"
    assert "never compared with this runtime on a second device" in found.prediction.error
    total = found.networks["whole.onnx"].total
    assert total.low < total.value < total.high
    assert found.cut_error is None


def test_stages_and_cuts_slow_down_as_their_networks_do(table):
    found = predicted(table)
    factor = found.networks["whole.onnx"].total.value / 0.012
    assert found.stages["local"].value == pytest.approx(0.012 * factor)
    assert found.stages["encode full"].value == pytest.approx(0.001 * factor)
    assert found.cuts[0].before.value == pytest.approx(0.006 * factor)


@pytest.mark.parametrize("speed", [0.1, 1.0, 7.0])
def test_a_faster_measured_machine_means_a_larger_factor(table, speed):
    faster = table.device.speed.model_copy(update={"flops_per_s": 144e9 * speed})
    found = predicted(table, device=table.device.model_copy(update={"speed": faster}))
    assert found.networks["whole.onnx"].kernels[0].seconds == pytest.approx(0.1 * speed * USUAL)


@pytest.mark.parametrize(
    ("device", "kind"),
    [
        ({"threads": 2}, "measured"),
        ({"provider": "CUDAExecutionProvider"}, "measured"),
        ({}, "predicted"),
        ({"speed": None}, "measured"),
    ],
)
def test_only_a_measured_table_of_one_thread_on_the_processor_is_carried_over(table, device, kind):
    with pytest.raises(ConfigError, match="predict from a table measured with one thread"):
        predicted(table, device=table.device.model_copy(update=device), kind=kind)


def test_a_profile_without_peaks_predicts_nothing(table):
    with pytest.raises(ConfigError, match="profile arm64 has no peaks"):
        predicted(table, "arm64")
