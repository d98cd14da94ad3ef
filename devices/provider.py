"""Execution providers of onnxruntime by the names that people use, and which of them this machine has."""

from collections.abc import Sequence
from typing import Literal, get_args

from isthmus.devices import runtime
from isthmus.errors import DeviceError

Choice = Literal["auto", "cpu", "cuda", "tensorrt"]

_CPU = "CPUExecutionProvider"
# TensorFloat-32, the default on newer GPUs, keeps 10 bits of a product: golden outputs would differ by more than the gate allows.
_CUDA = ("CUDAExecutionProvider", {"use_tf32": "0"})
_TENSORRT = "TensorrtExecutionProvider"
_CHAINS: dict[str, Sequence[runtime.Provider]] = {"cpu": (_CPU,), "cuda": (_CUDA, _CPU), "tensorrt": (_TENSORRT, _CUDA, _CPU)}
"""What an operator is tried on: TensorRT takes part of a network, CUDA most of the rest, the CPU everything."""


def candidates(choice: Choice) -> tuple[str, ...]:
    """What to try, best first: of `auto` CUDA where onnxruntime has it, then the CPU; never TensorRT, which builds for minutes.

    Raises:
        DeviceError: onnxruntime is missing, or has not the one that is asked for.
    """
    built_in = runtime.available_providers()
    here = [name for name in get_args(Choice) if name in _CHAINS and _name(_CHAINS[name][0]) in built_in]
    if choice == "auto":
        return ("cuda", "cpu") if "cuda" in here else ("cpu",)
    if choice not in here:
        raise DeviceError(
            f"provider {choice} is asked for, onnxruntime here has {', '.join(here)}; "
            "install 'isthmus[tail-gpu]' in place of 'isthmus[tail]', or choose one of these"
        )
    return (choice,)


def chain(provider: str) -> Sequence[runtime.Provider]:
    """The list for `Network.load` of one of `candidates`."""
    return _CHAINS[provider]


def _name(provider: runtime.Provider) -> str:
    return provider if isinstance(provider, str) else provider[0]
