"""What a caller may do: six scopes, and one table from gRPC methods to them. No scope implies another."""

from enum import StrEnum


class Scope(StrEnum):
    """A right that a token or a certificate carries."""

    STREAM = "stream"
    """Be a device: describe, stream, generate."""
    INFER = "infer"
    """Ask single questions over the Open Inference Protocol, and see what is served."""
    ADMIN = "admin"
    """Load and unload."""
    EVIDENCE = "evidence"
    """Fetch pictures that devices hold."""
    METRICS = "metrics"
    """Read figures and the page."""
    BUNDLE = "bundle"
    """Fetch bundles: the networks themselves."""


ALL = frozenset(Scope)

_TAIL = {
    "Describe": Scope.STREAM,
    "Stream": Scope.STREAM,
    "Generate": Scope.STREAM,
    "FetchFrame": Scope.EVIDENCE,
    "FetchBundle": Scope.BUNDLE,
}
_OPEN_INFERENCE = {
    # Whether it lives says no more than that the port answers, and probes carry no tokens.
    "ServerLive": None,
    "ServerReady": None,
    "ModelReady": Scope.INFER,
    "ServerMetadata": Scope.INFER,
    "ModelMetadata": Scope.INFER,
    "ModelConfig": Scope.INFER,
    "ModelStatistics": Scope.INFER,
    "ModelInfer": Scope.INFER,
    "ModelStreamInfer": Scope.INFER,
    "RepositoryIndex": Scope.INFER,
    "RepositoryModelLoad": Scope.ADMIN,
    "RepositoryModelUnload": Scope.ADMIN,
}
_HEALTH = dict.fromkeys(("Check", "Watch", "List"))
_REFLECTION = {"ServerReflectionInfo": Scope.INFER}

_SERVICES: dict[str, dict[str, Scope | None] | dict[str, Scope] | dict[str, None]] = {
    "isthmus.v1.Tail": _TAIL,
    "inference.GRPCInferenceService": _OPEN_INFERENCE,
    "grpc.health.v1.Health": _HEALTH,
    "grpc.reflection.v1alpha.ServerReflection": _REFLECTION,
    "grpc.reflection.v1.ServerReflection": _REFLECTION,
}

METHODS: dict[str, Scope | None] = {
    f"/{service}/{method}": scope for service, methods in _SERVICES.items() for method, scope in methods.items()
}
"""Full method name to the scope that it needs; None is open to everybody."""


def needed(method: str) -> Scope | None:
    """The scope that a method needs; one that is not in the table needs `admin`.

    >>> needed("/isthmus.v1.Tail/Stream"), needed("/grpc.health.v1.Health/Check"), needed("/new.Service/Method")
    (<Scope.STREAM: 'stream'>, None, <Scope.ADMIN: 'admin'>)
    """
    return METHODS.get(method, Scope.ADMIN)
