"""The networks of a bundle that run on the device: the head, and the whole network for the local placement."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from isthmus.contract.bundle import Bundle
from isthmus.contract.prepare import prepare
from isthmus.devices.runtime import Network, Provider
from isthmus.errors import ConfigError

CPU: Sequence[Provider] = ("CPUExecutionProvider",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Computed:
    """Arrays that a network gave for one picture, and how long it took."""

    arrays: tuple[np.ndarray, ...]
    prepare_s: float
    compute_s: float


class DeviceModel:
    """One network of a bundle that takes pictures.

    Args:
        bundle: where the network and its preparation come from.
        name: file in the bundle, `head.onnx`, `head.int8.onnx` or a whole network.
        threads: onnxruntime threads; more than one only pays where cores are idle.
        providers: execution providers, best first.

    Raises:
        DeviceError: onnxruntime lacks one of the providers.
        ConfigError: the bundle does not say how a picture becomes its input.
    """

    def __init__(self, bundle: Bundle, name: str, *, threads: int = 1, providers: Sequence[Provider] = CPU) -> None:
        manifest = bundle.manifest
        if manifest.preparation is None:
            raise ConfigError(f"{bundle.origin} does not say how a picture is prepared; export it with --preprocess")
        self.manifest = manifest
        self._preparation = manifest.preparation
        self.network = Network.of_bundle(bundle, name, threads=threads, providers=providers)
        self._outputs = [port.name for port in self.network.outputs]

    def compute(self, picture: np.ndarray) -> Computed:
        """Run the network on one picture.

        Args:
            picture: uint8[row, column, 3] in BGR order, any size.

        Returns:
            The outputs in the network's order, without their batch axis.
        """
        started = time.perf_counter()
        prepared = prepare(picture, self._preparation)
        ready = time.perf_counter()
        outputs = self.network.run({self.manifest.input.name: prepared})
        arrays = tuple(outputs[name][0] for name in self._outputs)
        return Computed(arrays=arrays, prepare_s=ready - started, compute_s=time.perf_counter() - ready)

    @property
    def providers(self) -> tuple[str, ...]:
        """Execution providers that the network runs on, best first; one that failed to start is not among them."""
        return self.network.providers

    @property
    def output_names(self) -> list[str]:
        """Names of the outputs, in the order of `Computed.arrays`."""
        return self._outputs


def local_network(bundle: Bundle) -> str:
    """The file that answers on the device alone: `local.onnx`, else the unsplit `whole.onnx`.

    Raises:
        ConfigError: the bundle carries neither.
    """
    for name in ("local.onnx", "whole.onnx"):
        if bundle.has(name):
            return name
    held = ", ".join(Path(file).name for file in bundle.manifest.files)
    raise ConfigError(f"{bundle.origin} carries no network for the placement local (local.onnx or whole.onnx); it holds {held}")
