import pytest

from isthmus.devices.cost.kernel import Kernel
from isthmus.devices.cost.speed import Speed
from isthmus.devices.cost.table import CostTable, CutCost, Device, NetworkCost, Seconds


def seconds(value: float) -> Seconds:
    return Seconds(value=value, low=value * 0.9, high=value * 1.2)


@pytest.fixture
def table() -> CostTable:
    """Made-up costs: one kernel bound by arithmetic, one bound by memory."""
    kernels = (
        Kernel(name="conv", operator="Conv", provider="CPUExecutionProvider", seconds=0.01, flops=10**9, moved_bytes=10**6),
        Kernel(name="add", operator="Add", provider="CPUExecutionProvider", seconds=0.002, flops=0, moved_bytes=2 * 10**7),
    )
    return CostTable(
        kind="measured",
        bundle="demo",
        contract_digest="a" * 64,
        created="today",
        device=Device(
            profile="x86-64",
            cpu_model="Example CPU",
            architecture="x86_64",
            threads=1,
            provider="CPUExecutionProvider",
            onnxruntime="1.32.0",
            speed=Speed(flops_per_s=144e9, bytes_per_s=25.6e9),
        ),
        stages={"head": seconds(0.004), "local": seconds(0.012), "encode full": seconds(0.001)},
        networks={"whole.onnx": NetworkCost(total=seconds(0.012), kernels=kernels, resident_bytes=10**7)},
        cuts=(
            CutCost(index=3, tensors=("b",), bytes=400, values=100, flops_share=0.5, before=seconds(0.006), after=seconds(0.006)),
        ),
        cut_error=0.02,
        steady=True,
    )
