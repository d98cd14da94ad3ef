"""Costs on a device that nobody measured, from those on one that was.

A kernel is bound by arithmetic or by memory (the roofline of Williams, Waterman and Patterson, CACM 52(4), 2009); how near it
comes to its bound is taken to be the same on both devices. So its time is multiplied by a ratio: what one core of the measured
device does (`speed`), over the other one's peak by data sheet.

What this leaves out is large: caches, the order of memory, kernels that one architecture has and another has not. So an estimate
comes with bounds. **No second device was at hand.** `benchmarks/cost_prediction.py` compares estimates for a Raspberry Pi 4 with
times that the authors of another runtime (ncnn) published for one.
"""

from collections.abc import Callable
from dataclasses import dataclass

from isthmus.devices.cost.kernel import Kernel
from isthmus.devices.cost.speed import Speed
from isthmus.devices.cost.table import CostTable, CutCost, Device, NetworkCost, Prediction, Seconds
from isthmus.devices.profiles.profile import Profile
from isthmus.errors import ConfigError

KEPT = (0.75, 1.5, 3.0)
"""What a time takes more than the ratio says: least, expected, most. Networks lose more of a peak on small cores. Fitted to five
times that ncnn's authors published for a Raspberry Pi 4, one thread; those lie within 0.65 to 1.55 of the estimates."""
CACHED_BYTES = 2**20
"""Kernels that move less than this work in caches, whatever the memory behind them: a Cortex-A72's cores share so much."""
_ERROR = (
    "bounds are half and twice the estimate, wider for kernels bound by memory; fitted to five times that the authors of another "
    "runtime published for a Raspberry Pi 4, which lie within 0.65 to 1.55 of the estimates; never compared with this runtime on "
    "a second device"
)


def peak_of(profile: Profile) -> Speed:
    """What one core of a device does at most, by data sheet.

    Raises:
        ConfigError: the profile does not say.
    """
    flops_per_s = profile.cores.peak_flops_per_s
    if flops_per_s is None or profile.memory is None:
        raise ConfigError(
            f"profile {profile.name} has no peaks to predict from; it needs cores.clock_mhz, cores.flops_per_cycle and "
            "memory.bandwidth_bytes_per_s"
        )
    return Speed(flops_per_s=flops_per_s, bytes_per_s=profile.memory.bandwidth_bytes_per_s)


def predict(table: CostTable, profile: Profile, *, created: str) -> CostTable:
    """Carry a measured table over to another device, one thread.

    Args:
        table: measured with one thread on a CPU.
        profile: of the other device, with its peaks.
        created: date and time.

    Raises:
        ConfigError: the table is predicted, or was measured with several threads or not on a CPU; the profile has no peaks.
    """
    ratios = _Ratios.between(table, profile)
    networks = {name: ratios.network(cost) for name, cost in table.networks.items()}
    factor_of = _factors(table, networks)
    device = Device(
        profile=profile.name,
        cpu_model="",
        architecture=profile.match.architecture,
        threads=1,
        provider=table.device.provider,
        onnxruntime=table.device.onnxruntime,
    )
    prediction = Prediction(from_profile=table.device.profile, from_cpu=table.device.cpu_model, method=ratios.words, error=_ERROR)
    return table.model_copy(
        update={
            "kind": "predicted",
            "created": created,
            "device": device,
            "stages": {name: _scaled(stage, factor_of(name)) for name, stage in table.stages.items()},
            "networks": networks,
            "cuts": tuple(_cut(cut, factor_of("local")) for cut in table.cuts),
            "cut_error": None,
            "prediction": prediction,
        }
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ratios:
    """What a core of the measured device does, over what one of the other could do at its peaks."""

    here: Speed
    peak: Speed

    @classmethod
    def between(cls, table: CostTable, profile: Profile) -> "_Ratios":
        device = table.device
        if table.kind != "measured" or device.speed is None or device.threads != 1 or device.provider != "CPUExecutionProvider":
            raise ConfigError(
                f"costs of {device.profile} are {table.kind}, {device.threads} thread(s) on {device.provider}; "
                "predict from a table measured with one thread on CPUExecutionProvider"
            )
        return cls(here=device.speed, peak=peak_of(profile))

    @property
    def words(self) -> str:
        """How times are carried over."""
        here, peak = self.here, self.peak
        return (
            f"one core measured at {here.flops_per_s / 1e9:.1f} GFLOP/s and {here.bytes_per_s / 1e9:.1f} GB/s; by data sheet "
            f"{peak.flops_per_s / 1e9:.1f} GFLOP/s and {peak.bytes_per_s / 1e9:.1f} GB/s of the other"
        )

    def network(self, cost: NetworkCost) -> NetworkCost:
        """Predict a network kernel by kernel."""
        found = [self._kernel(kernel) for kernel in cost.kernels]
        total = Seconds(
            value=sum(one.value for one in found), low=sum(one.low for one in found), high=sum(one.high for one in found)
        )
        kernels = tuple(kernel.model_copy(update={"seconds": one.value}) for kernel, one in zip(cost.kernels, found, strict=True))
        return NetworkCost(total=total, kernels=kernels)

    def _kernel(self, kernel: Kernel) -> Seconds:
        arithmetic = self.here.flops_per_s / self.peak.flops_per_s
        memory = self.here.bytes_per_s / self.peak.bytes_per_s
        moves = kernel.moved_bytes / self.here.bytes_per_s > kernel.flops / self.here.flops_per_s
        by_memory = moves and kernel.moved_bytes > CACHED_BYTES
        expected = memory if by_memory else arithmetic
        least, usual, most = KEPT
        return Seconds(
            value=kernel.seconds * expected * usual,
            low=kernel.seconds * expected * least,
            high=kernel.seconds * (max(memory, arithmetic) if by_memory else arithmetic) * most,
        )


def _factors(table: CostTable, networks: dict[str, NetworkCost]) -> Callable[[str], Seconds]:
    """For each stage the factor by which it gets slower: that of its network; that of all of them for stages without one."""
    named = {
        "local": ("local.onnx", "whole.onnx"),
        "head": ("head.int8.onnx", "head.onnx"),
        "server compute split": ("tail.onnx",),
        "server compute offload": ("whole.onnx",),
    }

    def of(stage: str) -> Seconds:
        file = next((file for file in named.get(stage, ()) if file in networks), None)
        chosen = list(networks) if file is None else [file]
        before = sum(kernel.seconds for name in chosen for kernel in table.networks[name].kernels) or 1.0
        totals = [networks[name].total for name in chosen]
        return Seconds(
            value=sum(total.value for total in totals) / before,
            low=sum(total.low for total in totals) / before,
            high=sum(total.high for total in totals) / before,
        )

    return of


def _scaled(seconds: Seconds, factor: Seconds) -> Seconds:
    """From the measured median: how it scattered there says nothing of the other device."""
    return Seconds(value=seconds.value * factor.value, low=seconds.value * factor.low, high=seconds.value * factor.high)


def _cut(cut: CutCost, factor: Seconds) -> CutCost:
    return cut.model_copy(update={"before": _scaled(cut.before, factor), "after": _scaled(cut.after, factor)})
