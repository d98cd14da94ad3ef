"""The one place that makes onnxruntime sessions, and the golden check on what they answer.

`Network.run` checks what goes in before onnxruntime sees it, and onnxruntime's exceptions become ours: a caller needs to
know `isthmus.errors` only. onnxruntime is imported when the first network is loaded, not with this module.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import ModuleType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from isthmus.contract.bundle import AnyBundle
from isthmus.devices import external_data
from isthmus.errors import BundleError, DeviceError

Array = npt.NDArray[Any]
Provider = str | tuple[str, dict[str, str]]
"""An execution provider by onnxruntime's name, and its options where it needs some."""
CPU: Sequence[Provider] = ("CPUExecutionProvider",)

# ONNX tensor types that numpy holds as they are. The others (bfloat16, float8, int4, string, sequences) never cross a port.
_DTYPES: dict[str, np.dtype[Any]] = {
    "tensor(float)": np.dtype(np.float32),
    "tensor(float16)": np.dtype(np.float16),
    "tensor(double)": np.dtype(np.float64),
    "tensor(int8)": np.dtype(np.int8),
    "tensor(int16)": np.dtype(np.int16),
    "tensor(int32)": np.dtype(np.int32),
    "tensor(int64)": np.dtype(np.int64),
    "tensor(uint8)": np.dtype(np.uint8),
    "tensor(uint16)": np.dtype(np.uint16),
    "tensor(uint32)": np.dtype(np.uint32),
    "tensor(uint64)": np.dtype(np.uint64),
    "tensor(bool)": np.dtype(np.bool_),
}

# onnxruntime's scale: 0 verbose, 1 info, 2 warning, 3 error, 4 fatal.
_LOG_ERRORS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """One input or output of a network.

    Attributes:
        name: as the ONNX file names it.
        dtype: what its arrays hold.
        shape: size of each axis, None where any size goes.
    """

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int | None, ...]

    def check(self, array: Array, network: str) -> None:
        """Refuse an array that does not fit.

        Raises:
            BundleError: dtype, number of axes or a fixed axis differs; the message has both values.
        """
        if array.dtype != self.dtype:
            raise BundleError(f"{network}: input {self.name!r} takes {self.dtype}, got {array.dtype}")
        fits = len(array.shape) == len(self.shape) and all(
            want in (None, got) for want, got in zip(self.shape, array.shape, strict=True)
        )
        if not fits:
            raise BundleError(f"{network}: input {self.name!r} takes shape {_spell(self.shape)}, got {array.shape}")


class Network:
    """One ONNX file, loaded and ready to run; `run` may be called from several threads at once."""

    def __init__(self, session: Any, name: str) -> None:  # noqa: ANN401 - onnxruntime has no types
        self._session = session
        self.name = name
        self.providers = tuple(session.get_providers())
        self.inputs = tuple(_port(argument, name) for argument in session.get_inputs())
        self.outputs = tuple(_port(argument, name) for argument in session.get_outputs())

    @classmethod
    def load(
        cls,
        path: Path,
        *,
        threads: int = 1,
        providers: Sequence[Provider] = ("CPUExecutionProvider",),
        optimised: bool = True,
        beside: Collection[str] | None = None,
        record: Path | None = None,
        prepacked: bool = True,
    ) -> Self:
        """Read an ONNX file and make it ready.

        Args:
            path: the file; its external data lies beside it.
            threads: threads inside one operator. Operators run one after the other, and idle threads sleep instead of
                spinning: a device has other things to do.
            providers: execution providers by onnxruntime's names, best first.
            optimised: False runs the graph as written, for comparing graphs.
            beside: names of files beside it that may hold its weights; None is any.
            record: write how long every kernel takes into a file whose name begins so, see `recorded`; None: do not.
            prepacked: False leaves weights where they lie in their file, mapped, instead of copying them into the order that a
                kernel likes best: slower, and no matter how large they are.

        Returns:
            The network.

        Raises:
            BundleError: the file is missing or damaged, is not ONNX, has weights elsewhere, or a port that numpy cannot hold.
            DeviceError: onnxruntime is missing, or it lacks a provider or an operator.
        """
        onnxruntime = _import_onnxruntime()
        available = onnxruntime.get_available_providers()
        names = [provider if isinstance(provider, str) else provider[0] for provider in providers]
        for provider in names:
            if provider not in available:
                raise DeviceError(f"onnxruntime here has no {provider}; available: {', '.join(available)}")
        if not path.is_file():
            raise BundleError(f"network {path} is missing")
        external_data.check(path, beside)
        options = _session_options(onnxruntime, threads=threads, optimised=optimised)
        if not prepacked:
            options.add_session_config_entry("session.disable_prepacking", "1")
        if record is not None:
            options.enable_profiling = True
            options.profile_file_prefix = str(record)
        session = _open_session(onnxruntime, path, options, providers)
        # A GPU provider whose libraries do not load is dropped with a warning only; a silent CPU is worse than an error.
        if (active := session.get_providers())[0] != names[0]:
            raise DeviceError(
                f"{names[0]} does not start on this machine, onnxruntime fell back to {active[0]}; "
                "its own message says which driver or library is missing"
            )
        return cls(session, path.name)

    @classmethod
    def of_bundle(
        cls,
        bundle: AnyBundle,
        name: str,
        *,
        threads: int = 1,
        providers: Sequence[Provider] = ("CPUExecutionProvider",),
        record: Path | None = None,
    ) -> Self:
        """Load a network of a bundle: its weights lie in it, or in files whose digests the manifest has.

        Raises:
            BundleError: the bundle has no such file, and as `load`.
            DeviceError: as `load`.
        """
        folder = PurePosixPath(name).parent
        files = [PurePosixPath(file) for file in bundle.manifest.files]
        beside = [str(file.relative_to(folder)) for file in files if file.is_relative_to(folder)]
        return cls.load(bundle.path(name), threads=threads, providers=providers, beside=beside, record=record)

    def binding(self) -> "Binding":
        """Arrays that stay bound to inputs and outputs from one run to the next."""
        return Binding(self._session, self.name)

    def recorded(self) -> Path:
        """End the recording that `load` began; the file, in the form of Chrome's trace events."""
        return Path(self._session.end_profiling())

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Compute every output.

        Args:
            feeds: one array per input, by name; dtype, number of axes and fixed axes as `inputs` says.

        Returns:
            One array per output, by name.

        Raises:
            BundleError: the feeds do not fit the inputs.
            DeviceError: onnxruntime failed while computing.
        """
        wanted = {port.name for port in self.inputs}
        if feeds.keys() != wanted:
            raise BundleError(f"{self.name}: takes inputs {sorted(wanted)}, got {sorted(feeds)}")
        for port in self.inputs:
            port.check(feeds[port.name], self.name)
        names = [port.name for port in self.outputs]
        try:
            arrays = self._session.run(names, dict(feeds))
        except Exception as exc:  # onnxruntime's exceptions share no base class
            raise DeviceError(f"{self.name}: onnxruntime failed while computing: {_first_line(exc)}") from exc
        return dict(zip(names, arrays, strict=True))


class Binding:
    """Arrays in memory of the CPU that a network reads and writes where they lie. One thread uses it at a time.

    An array that is fed and filled under two names is changed in place.
    """

    def __init__(self, session: Any, name: str) -> None:  # noqa: ANN401 - onnxruntime has no types
        self._session = session
        self._binding = session.io_binding()
        self._name = name
        self._arrays: dict[str, Array] = {}

    def feed(self, name: str, array: Array) -> None:
        """Bind an input to an array, which must be contiguous and of the input's dtype and shape."""
        self._arrays[name] = array
        self._binding.bind_input(name, "cpu", 0, array.dtype.type, array.shape, array.ctypes.data)

    def fill(self, name: str, array: Array) -> None:
        """Bind an output to an array, contiguous and of its dtype and shape."""
        self._arrays[name] = array
        self._binding.bind_output(name, "cpu", 0, array.dtype.type, array.shape, array.ctypes.data)

    def run(self) -> None:
        """Compute.

        Raises:
            DeviceError: onnxruntime failed.
        """
        try:
            self._session.run_with_iobinding(self._binding)
        except Exception as exc:  # onnxruntime's exceptions share no base class
            raise DeviceError(f"{self._name}: onnxruntime failed while computing: {_first_line(exc)}") from exc


def available_providers() -> tuple[str, ...]:
    """The execution providers that onnxruntime was built with here, by its names.

    Raises:
        DeviceError: onnxruntime is missing.
    """
    return tuple(_import_onnxruntime().get_available_providers())


def changed_share(got: Array, want: Array) -> float:
    """Share of integer codes that differ.

    Args:
        got: integer[any shape], what this machine computed.
        want: integer[same shape], what the bundle recorded.

    Returns:
        0.0 (equal) to 1.0; 1.0 when the shapes differ, 0.0 for two empty arrays.

    Raises:
        BundleError: one of them does not hold integers.
    """
    if got.dtype.kind not in "iu" or want.dtype.kind not in "iu":
        raise BundleError(f"codes are integers, got {got.dtype} to compare with {want.dtype}")
    if got.shape != want.shape:
        return 1.0
    return float(np.mean(got != want)) if want.size else 0.0


def relative_error(got: Array, want: Array) -> float:
    """Largest absolute difference over the largest absolute value of `want`, computed in float64.

    Args:
        got: number[any shape], what this machine computed.
        want: number[same shape], what the bundle recorded.

    Returns:
        0.0 when equal; inf when the shapes differ, when a difference is not finite, or when `want` is all zero and
        `got` is not.
    """
    if got.shape != want.shape:
        return float("inf")
    if not want.size:
        return 0.0
    reference = want.astype(np.float64)
    with np.errstate(invalid="ignore", over="ignore"):
        difference = float(np.max(np.abs(got.astype(np.float64) - reference)))
    if not np.isfinite(difference):
        return float("inf")
    largest = float(np.max(np.abs(reference)))
    if largest == 0.0:
        return 0.0 if difference == 0.0 else float("inf")
    return difference / largest


def _import_onnxruntime() -> ModuleType:
    try:
        import onnxruntime
    except ImportError as exc:
        raise DeviceError(f"onnxruntime cannot be imported ({exc}); pip install 'isthmus[head]'") from exc
    return onnxruntime  # type: ignore[no-any-return]


def _session_options(onnxruntime: ModuleType, *, threads: int, optimised: bool) -> Any:  # noqa: ANN401
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = _LOG_ERRORS
    if not optimised:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return options


def _open_session(onnxruntime: ModuleType, path: Path, options: object, providers: Sequence[Provider]) -> Any:  # noqa: ANN401
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=list(providers))
    except Exception as exc:  # onnxruntime's exceptions share no base class
        if type(exc).__name__ == "NotImplemented":
            version = onnxruntime.__version__
            raise DeviceError(f"onnxruntime {version} cannot run {path}: {_first_line(exc)}; update it") from exc
        raise BundleError(f"network {path} cannot be loaded: {_first_line(exc)}") from exc


def _port(argument: Any, network: str) -> Port:  # noqa: ANN401
    dtype = _DTYPES.get(argument.type)
    if dtype is None:
        raise BundleError(f"{network}: port {argument.name!r} is {argument.type}; known are {', '.join(_DTYPES)}")
    # A symbolic axis is a string, an unnamed one None.
    shape = tuple(size if isinstance(size, int) else None for size in argument.shape)
    return Port(name=argument.name, dtype=dtype, shape=shape)


def _spell(shape: tuple[int | None, ...]) -> str:
    return "(" + ", ".join("any" if size is None else str(size) for size in shape) + ")"


def _first_line(exc: Exception) -> str:
    return (str(exc).splitlines() or [type(exc).__name__])[0]
