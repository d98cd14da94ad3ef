"""The repository as clients of the Open Inference Protocol see it: every bundle that offers one has a second model, its whole
network, which comes and goes with it."""  # noqa: D205, D209

from collections.abc import Mapping

from isthmus.contract.generated import open_inference_pb2 as wire
from isthmus.errors import RemoteProtocolError
from isthmus.tail.catalog import TEXT_MAX, Catalog
from isthmus.tail.inference import models
from isthmus.tail.repository.repository import Repository

_Change = wire.RepositoryModelLoadRequest | wire.RepositoryModelUnloadRequest

_IGNORED = ("unload_dependents",)
"""Parameters that Triton's client sends unasked, and that mean nothing where no model depends on another."""


def index(repository: Repository, catalog: Catalog, request: wire.RepositoryIndexRequest) -> wire.RepositoryIndexResponse:
    """Every version of every model, in what state it is and why.

    Raises:
        RemoteProtocolError: a repository is named.
    """
    _check_repository(request.repository_name)
    offered = {(served.name, served.version): models.names(served) for served in catalog}
    listed = [
        wire.RepositoryIndexResponse.ModelIndex(name=name, version=entry.version, state=entry.state, reason=entry.reason)
        for entry in repository.index()
        if entry.state == "READY" or not request.ready
        for name in (offered.get((entry.name, entry.version), ()) if entry.state == "READY" else (entry.name,))
    ]
    return wire.RepositoryIndexResponse(models=listed)


async def load(repository: Repository, catalog: Catalog, request: wire.RepositoryModelLoadRequest) -> None:
    """Load what lies in the repository under a name; parameter `version` loads one version beside those that are served.

    Raises:
        RemoteProtocolError: a repository or a parameter is given that is not known here, or the model comes with another one.
        IsthmusError: see `Repository.load`.
    """
    await repository.load(_name(catalog, request), _version(request.parameters))


async def unload(repository: Repository, catalog: Catalog, request: wire.RepositoryModelUnloadRequest) -> None:
    """Unload every version of a name, or the one that the parameter `version` says.

    Raises:
        RemoteProtocolError: see `load`.
        IsthmusError: see `Repository.unload`.
    """
    await repository.unload(_name(catalog, request), _version(request.parameters))


def _check_repository(name: str) -> None:
    if name:
        raise RemoteProtocolError(f"repository {name[:TEXT_MAX]!r} is not known; there is one, and it has no name")


def _name(catalog: Catalog, request: _Change) -> str:
    """The bundle that a request is about."""
    _check_repository(request.repository_name)
    if not request.model_name:
        raise RemoteProtocolError("no model is named; the index of the repository lists them")
    if base := models.whole_of(catalog, request.model_name):
        raise RemoteProtocolError(f"model {request.model_name!r} comes and goes with {base!r}; name that")
    return request.model_name


def _version(parameters: Mapping[str, wire.ModelRepositoryParameter]) -> str:
    strange = [name for name in parameters if name not in ("version", *_IGNORED)]
    if strange:
        raise RemoteProtocolError(
            f"parameter {strange[0][:TEXT_MAX]!r} is not taken: a bundle is loaded as it lies in the repository; "
            "the parameter known here is 'version'"
        )
    return parameters["version"].string_param if "version" in parameters else ""
