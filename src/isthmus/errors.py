"""Every exception Isthmus raises, drawn once.

    IsthmusError
    ├── UsageError             the command was given something it cannot use (exit 2)
    ├── ConfigError            a setting is missing, unknown or out of range
    ├── BundleError            the artefact is damaged, incomplete or of another version
    │   ├── BundleNotServed    a server was asked for a bundle or version that it does not have
    │   ├── ContractMismatch   both ends are sound and do not belong together
    │   └── SignatureError     nobody who is trusted vouches for it
    ├── ProtocolError          the conversation between head and tail went wrong
    │   ├── LocalProtocolError     this end broke a rule: a bug here
    │   └── RemoteProtocolError    the peer broke a rule: refuse it, go on
    │       ├── MalformedPayload   bytes that are not what they claim to be
    │       ├── LimitExceeded      a declared size passes what this end accepts
    │       └── ReferenceMissing   a temporal payload names a frame that is not held
    ├── DeadlinePassed         the time for an answer was over before it was computed
    ├── FrameNotHeld           no device at hand keeps the picture that was asked for
    ├── AccessError            a certificate or a token does not open this door
    │   ├── Unauthenticated        who calls did not prove who they are
    │   └── PermissionDenied       who calls is known and may not do this
    ├── TailUnavailable        no server answers
    │   ├── Unreachable            nobody listens at the address, or nothing comes back from there
    │   └── Overloaded             a server answers and has no room for now; it says when to come back
    │       └── QuotaExceeded      the room is there, and this client has its share of it
    ├── DeviceError            this machine lacks or refuses something
    ├── SourceError            frames cannot be read
    ├── ExportError            the model cannot be taken, cut, trained or written
    │   ├── NoEnd              a loop of the model goes on and on
    │   └── Diverged           the loss of a training is no number any more
    └── NotBuiltYet            a later part of Isthmus

Each class carries the exit code of the command line and the name of the gRPC status, so that there is one table and it is here.
This module imports nothing.
"""

from typing import ClassVar


class IsthmusError(Exception):
    """Root of the tree; the command line prints its message in one line and exits with `exit_code`."""

    exit_code: ClassVar[int] = 1
    grpc_status: ClassVar[str] = "INTERNAL"


class UsageError(IsthmusError):
    """The command was called with something it cannot use."""

    exit_code = 2
    grpc_status = "INVALID_ARGUMENT"


class ConfigError(IsthmusError):
    """A setting is missing, unknown, out of range or contradicts another."""

    exit_code = 3
    grpc_status = "FAILED_PRECONDITION"


class BundleError(IsthmusError):
    """The bundle is damaged, incomplete, or written for another version."""

    exit_code = 4
    grpc_status = "FAILED_PRECONDITION"


class BundleNotServed(BundleError):
    """A server was asked for a bundle or a version that it does not have."""

    grpc_status = "NOT_FOUND"


class ContractMismatch(BundleError):
    """Head and tail, or file and manifest, are each sound but do not belong together."""


class SignatureError(BundleError):
    """A signature that is asked for is missing, damaged, over other bytes, or of a key that is not trusted."""


class ProtocolError(IsthmusError):
    """The conversation between head and tail went wrong."""

    grpc_status = "INVALID_ARGUMENT"


class LocalProtocolError(ProtocolError):
    """This end broke a rule of the wire: a bug here."""

    grpc_status = "INTERNAL"


class RemoteProtocolError(ProtocolError):
    """The peer broke a rule of the wire."""


class MalformedPayload(RemoteProtocolError):
    """Bytes are not what they claim to be: unknown mode, wrong checksum, truncated or overlong body."""


class LimitExceeded(RemoteProtocolError):
    """A declared size passes what this end accepts; nothing was allocated for it."""

    grpc_status = "RESOURCE_EXHAUSTED"


class ReferenceMissing(RemoteProtocolError):
    """A temporal payload refers to a frame this end does not hold; the sender must send a key frame."""

    grpc_status = "FAILED_PRECONDITION"


class DeadlinePassed(IsthmusError):
    """The time for an answer was over before it was computed."""

    grpc_status = "DEADLINE_EXCEEDED"


class FrameNotHeld(IsthmusError):
    """The picture of a frame was asked for, and no device at hand keeps it."""

    grpc_status = "NOT_FOUND"


class AccessError(IsthmusError):
    """A certificate or a token does not open this door, here or at the other end."""

    exit_code = 3
    grpc_status = "UNAUTHENTICATED"


class Unauthenticated(AccessError):
    """Who calls did not prove who they are: no certificate, no token, or one that does not count."""


class PermissionDenied(AccessError):
    """Who calls is known and may not do this."""

    grpc_status = "PERMISSION_DENIED"


class TailUnavailable(IsthmusError):
    """No server answers at the given addresses."""

    exit_code = 5
    grpc_status = "UNAVAILABLE"


class Unreachable(TailUnavailable):
    """Nobody listens at the address, the connection broke, or nothing comes back: it may be asked again soon."""


class Overloaded(TailUnavailable):
    """A server answers and has no room for now.

    Attributes:
        retry_after_ms: when to ask again.
    """

    grpc_status = "RESOURCE_EXHAUSTED"

    def __init__(self, message: str, *, retry_after_ms: int = 1000) -> None:
        super().__init__(message)
        self.retry_after_ms = retry_after_ms


class QuotaExceeded(Overloaded):
    """This client uses as much as it may."""


class DeviceError(IsthmusError):
    """This machine lacks something or refuses it: onnxruntime, a provider, a port, a sensor."""

    grpc_status = "UNAVAILABLE"


class SourceError(IsthmusError):
    """Frames cannot be opened or read."""


class ExportError(IsthmusError):
    """The model cannot be taken, cut, trained or written; a gate failed."""


class Diverged(ExportError):
    """The loss of a training is no number any more: its steps are too large."""


class NoEnd(ExportError):
    """A loop of the model goes on and on; it was stopped."""


class NotBuiltYet(IsthmusError):
    """A part of the design that this version does not have."""

    grpc_status = "UNIMPLEMENTED"
