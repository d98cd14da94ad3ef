"""Which model a name means: of a bundle `NAME`, `NAME` is its tail and `NAME_whole` its whole network, in the same versions.

They are called as `isthmus triton` calls them, and take and give the same tensors.
"""

from dataclasses import dataclass

from isthmus.contract import tensor
from isthmus.contract.generated import open_inference_pb2 as wire
from isthmus.contract.models import TAIL, WHOLE, WHOLE_SUFFIX, parameters
from isthmus.devices.runtime import Port
from isthmus.errors import BundleNotServed, RemoteProtocolError
from isthmus.tail.catalog import TEXT_MAX, Catalog
from isthmus.tail.interface import Interface
from isthmus.tail.served import AnyServed, Served

PLATFORM, BACKEND = "onnxruntime_onnx", "onnxruntime"
"""Triton's words for what computes here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """One network of one version of a bundle."""

    name: str
    served: Served
    network: str
    interface: Interface


def find(catalog: Catalog, name: str, version: str = "") -> Model:
    """The model of a name.

    Args:
        catalog: what is served.
        name: of a bundle, or of one with `WHOLE_SUFFIX` behind it; a bundle that has such a name itself comes first.
        version: of the bundle; empty is the newest one.

    Raises:
        RemoteProtocolError: no name is given.
        BundleNotServed: there is no such model or version.
    """
    if not name:
        raise RemoteProtocolError("no model is named; the index of the repository lists them")
    base = whole_of(catalog, name)
    served = catalog.find(base or name, version)
    if not isinstance(served, Served):
        raise BundleNotServed(f"bundle {served} is a language model, which has no requests of this protocol; use `isthmus chat`")
    network = WHOLE if base else TAIL
    interface = served.model.interfaces.get(network)
    if interface is None:
        raise BundleNotServed(f"model {name[:TEXT_MAX]!r} is not served here: bundle {served} offers no whole network")
    return Model(name=name, served=served, network=network, interface=interface)


def whole_of(catalog: Catalog, name: str) -> str:
    """The bundle whose whole network has this name; empty if it is no such name."""
    if not name.endswith(WHOLE_SUFFIX):
        return ""
    names, base = {served.name for served in catalog}, name.removesuffix(WHOLE_SUFFIX)
    return base if base in names and name not in names else ""


def names(served: AnyServed) -> tuple[str, ...]:
    """Of the models of a bundle; a language model has none."""
    if not isinstance(served, Served):
        return ()
    suffixes = {TAIL: "", WHOLE: WHOLE_SUFFIX}
    return tuple(served.name + suffixes[network] for network in served.model.interfaces)


def metadata(model: Model, versions: list[str]) -> wire.ModelMetadataResponse:
    """What a client needs to make a request."""
    return wire.ModelMetadataResponse(
        name=model.name,
        versions=versions,
        platform=PLATFORM,
        inputs=[_described(port) for port in model.interface.inputs.values()],
        outputs=[_described(port) for port in model.interface.outputs.values()],
    )


def config(model: Model, rows_max: int) -> wire.ModelConfigResponse:
    """The same in Triton's terms, and what the bundle says of its codes or pictures."""
    batched = model.interface.rows_free
    return wire.ModelConfigResponse(
        config=wire.ModelConfig(
            name=model.name,
            platform=PLATFORM,
            backend=BACKEND,
            max_batch_size=rows_max if batched else 0,
            input=[
                wire.ModelInput(name=port.name, data_type=_type(port), dims=_dims(port)[batched:])
                for port in model.interface.inputs.values()
            ],
            output=[
                wire.ModelOutput(name=port.name, data_type=_type(port), dims=_dims(port)[batched:])
                for port in model.interface.outputs.values()
            ],
            parameters={
                key: wire.ModelParameter(string_value=text)
                for key, text in parameters(model.served.bundle.manifest, model.network).items()
            },
        )
    )


def _described(port: Port) -> wire.ModelMetadataResponse.TensorMetadata:
    return wire.ModelMetadataResponse.TensorMetadata(name=port.name, datatype=tensor.datatype(port.dtype), shape=_dims(port))


def _dims(port: Port) -> list[int]:
    return [-1 if size is None else size for size in port.shape]


def _type(port: Port) -> str:
    return f"TYPE_{tensor.datatype(port.dtype)}"
