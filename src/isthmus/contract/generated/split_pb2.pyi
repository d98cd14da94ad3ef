from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Mode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MODE_UNSPECIFIED: _ClassVar[Mode]
    MODE_RAW: _ClassVar[Mode]
    MODE_ZSTD: _ClassVar[Mode]
    MODE_INTRA: _ClassVar[Mode]
    MODE_TEMPORAL: _ClassVar[Mode]
    MODE_HIDDEN_FP16: _ClassVar[Mode]
    MODE_HIDDEN_INT8: _ClassVar[Mode]
    MODE_HIDDEN_INT4: _ClassVar[Mode]

class Status(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    STATUS_UNSPECIFIED: _ClassVar[Status]
    STATUS_OK: _ClassVar[Status]
    STATUS_EXPIRED: _ClassVar[Status]
    STATUS_KEY_FRAME_NEEDED: _ClassVar[Status]
    STATUS_INVALID: _ClassVar[Status]
    STATUS_OVERLOADED: _ClassVar[Status]
    STATUS_FAILED: _ClassVar[Status]
MODE_UNSPECIFIED: Mode
MODE_RAW: Mode
MODE_ZSTD: Mode
MODE_INTRA: Mode
MODE_TEMPORAL: Mode
MODE_HIDDEN_FP16: Mode
MODE_HIDDEN_INT8: Mode
MODE_HIDDEN_INT4: Mode
STATUS_UNSPECIFIED: Status
STATUS_OK: Status
STATUS_EXPIRED: Status
STATUS_KEY_FRAME_NEEDED: Status
STATUS_INVALID: Status
STATUS_OVERLOADED: Status
STATUS_FAILED: Status

class Tensor(_message.Message):
    __slots__ = ("name", "datatype", "shape", "data")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DATATYPE_FIELD_NUMBER: _ClassVar[int]
    SHAPE_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    name: str
    datatype: str
    shape: _containers.RepeatedScalarFieldContainer[int]
    data: bytes
    def __init__(self, name: _Optional[str] = ..., datatype: _Optional[str] = ..., shape: _Optional[_Iterable[int]] = ..., data: _Optional[bytes] = ...) -> None: ...

class ServerTimes(_message.Message):
    __slots__ = ("queue_us", "decode_us", "compute_us", "post_us", "total_us")
    QUEUE_US_FIELD_NUMBER: _ClassVar[int]
    DECODE_US_FIELD_NUMBER: _ClassVar[int]
    COMPUTE_US_FIELD_NUMBER: _ClassVar[int]
    POST_US_FIELD_NUMBER: _ClassVar[int]
    TOTAL_US_FIELD_NUMBER: _ClassVar[int]
    queue_us: int
    decode_us: int
    compute_us: int
    post_us: int
    total_us: int
    def __init__(self, queue_us: _Optional[int] = ..., decode_us: _Optional[int] = ..., compute_us: _Optional[int] = ..., post_us: _Optional[int] = ..., total_us: _Optional[int] = ...) -> None: ...

class PeerLimits(_message.Message):
    __slots__ = ("message_bytes", "picture_bytes", "picture_pixels", "captures_in_flight", "references_kept")
    MESSAGE_BYTES_FIELD_NUMBER: _ClassVar[int]
    PICTURE_BYTES_FIELD_NUMBER: _ClassVar[int]
    PICTURE_PIXELS_FIELD_NUMBER: _ClassVar[int]
    CAPTURES_IN_FLIGHT_FIELD_NUMBER: _ClassVar[int]
    REFERENCES_KEPT_FIELD_NUMBER: _ClassVar[int]
    message_bytes: int
    picture_bytes: int
    picture_pixels: int
    captures_in_flight: int
    references_kept: int
    def __init__(self, message_bytes: _Optional[int] = ..., picture_bytes: _Optional[int] = ..., picture_pixels: _Optional[int] = ..., captures_in_flight: _Optional[int] = ..., references_kept: _Optional[int] = ...) -> None: ...

class Drain(_message.Message):
    __slots__ = ("reason", "grace_ms")
    REASON_FIELD_NUMBER: _ClassVar[int]
    GRACE_MS_FIELD_NUMBER: _ClassVar[int]
    reason: str
    grace_ms: int
    def __init__(self, reason: _Optional[str] = ..., grace_ms: _Optional[int] = ...) -> None: ...

class Error(_message.Message):
    __slots__ = ("status", "message", "retry_after_ms")
    STATUS_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    RETRY_AFTER_MS_FIELD_NUMBER: _ClassVar[int]
    status: str
    message: str
    retry_after_ms: int
    def __init__(self, status: _Optional[str] = ..., message: _Optional[str] = ..., retry_after_ms: _Optional[int] = ...) -> None: ...

class DescribeRequest(_message.Message):
    __slots__ = ("bundle",)
    BUNDLE_FIELD_NUMBER: _ClassVar[int]
    bundle: str
    def __init__(self, bundle: _Optional[str] = ...) -> None: ...

class BoundaryTensor(_message.Message):
    __slots__ = ("name", "shape", "bits", "signed")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SHAPE_FIELD_NUMBER: _ClassVar[int]
    BITS_FIELD_NUMBER: _ClassVar[int]
    SIGNED_FIELD_NUMBER: _ClassVar[int]
    name: str
    shape: _containers.RepeatedScalarFieldContainer[int]
    bits: int
    signed: bool
    def __init__(self, name: _Optional[str] = ..., shape: _Optional[_Iterable[int]] = ..., bits: _Optional[int] = ..., signed: bool = ...) -> None: ...

class OperatingPoint(_message.Message):
    __slots__ = ("name", "channels", "bytes_mean")
    NAME_FIELD_NUMBER: _ClassVar[int]
    CHANNELS_FIELD_NUMBER: _ClassVar[int]
    BYTES_MEAN_FIELD_NUMBER: _ClassVar[int]
    name: str
    channels: _containers.RepeatedScalarFieldContainer[int]
    bytes_mean: float
    def __init__(self, name: _Optional[str] = ..., channels: _Optional[_Iterable[int]] = ..., bytes_mean: _Optional[float] = ...) -> None: ...

class BundleDescription(_message.Message):
    __slots__ = ("bundle", "version", "kind", "contract_digest", "boundary", "points", "modes", "takes_pictures", "provider", "layouts", "width", "positions_max")
    BUNDLE_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    CONTRACT_DIGEST_FIELD_NUMBER: _ClassVar[int]
    BOUNDARY_FIELD_NUMBER: _ClassVar[int]
    POINTS_FIELD_NUMBER: _ClassVar[int]
    MODES_FIELD_NUMBER: _ClassVar[int]
    TAKES_PICTURES_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    LAYOUTS_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    POSITIONS_MAX_FIELD_NUMBER: _ClassVar[int]
    bundle: str
    version: str
    kind: str
    contract_digest: bytes
    boundary: _containers.RepeatedCompositeFieldContainer[BoundaryTensor]
    points: _containers.RepeatedCompositeFieldContainer[OperatingPoint]
    modes: _containers.RepeatedScalarFieldContainer[Mode]
    takes_pictures: bool
    provider: str
    layouts: _containers.RepeatedScalarFieldContainer[str]
    width: int
    positions_max: int
    def __init__(self, bundle: _Optional[str] = ..., version: _Optional[str] = ..., kind: _Optional[str] = ..., contract_digest: _Optional[bytes] = ..., boundary: _Optional[_Iterable[_Union[BoundaryTensor, _Mapping]]] = ..., points: _Optional[_Iterable[_Union[OperatingPoint, _Mapping]]] = ..., modes: _Optional[_Iterable[_Union[Mode, str]]] = ..., takes_pictures: bool = ..., provider: _Optional[str] = ..., layouts: _Optional[_Iterable[str]] = ..., width: _Optional[int] = ..., positions_max: _Optional[int] = ...) -> None: ...

class DescribeReply(_message.Message):
    __slots__ = ("server_version", "bundles", "limits")
    SERVER_VERSION_FIELD_NUMBER: _ClassVar[int]
    BUNDLES_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    server_version: str
    bundles: _containers.RepeatedCompositeFieldContainer[BundleDescription]
    limits: PeerLimits
    def __init__(self, server_version: _Optional[str] = ..., bundles: _Optional[_Iterable[_Union[BundleDescription, _Mapping]]] = ..., limits: _Optional[_Union[PeerLimits, _Mapping]] = ...) -> None: ...

class ToTail(_message.Message):
    __slots__ = ("open", "capture", "close", "evidence")
    OPEN_FIELD_NUMBER: _ClassVar[int]
    CAPTURE_FIELD_NUMBER: _ClassVar[int]
    CLOSE_FIELD_NUMBER: _ClassVar[int]
    EVIDENCE_FIELD_NUMBER: _ClassVar[int]
    open: Open
    capture: Capture
    close: Close
    evidence: Evidence
    def __init__(self, open: _Optional[_Union[Open, _Mapping]] = ..., capture: _Optional[_Union[Capture, _Mapping]] = ..., close: _Optional[_Union[Close, _Mapping]] = ..., evidence: _Optional[_Union[Evidence, _Mapping]] = ...) -> None: ...

class FromTail(_message.Message):
    __slots__ = ("opened", "answer", "credit", "drain", "error", "fetch_evidence")
    OPENED_FIELD_NUMBER: _ClassVar[int]
    ANSWER_FIELD_NUMBER: _ClassVar[int]
    CREDIT_FIELD_NUMBER: _ClassVar[int]
    DRAIN_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    FETCH_EVIDENCE_FIELD_NUMBER: _ClassVar[int]
    opened: Opened
    answer: Answer
    credit: Credit
    drain: Drain
    error: Error
    fetch_evidence: FetchEvidence
    def __init__(self, opened: _Optional[_Union[Opened, _Mapping]] = ..., answer: _Optional[_Union[Answer, _Mapping]] = ..., credit: _Optional[_Union[Credit, _Mapping]] = ..., drain: _Optional[_Union[Drain, _Mapping]] = ..., error: _Optional[_Union[Error, _Mapping]] = ..., fetch_evidence: _Optional[_Union[FetchEvidence, _Mapping]] = ...) -> None: ...

class Open(_message.Message):
    __slots__ = ("bundle", "contract_digest", "modes", "device_id", "session", "client_version")
    BUNDLE_FIELD_NUMBER: _ClassVar[int]
    CONTRACT_DIGEST_FIELD_NUMBER: _ClassVar[int]
    MODES_FIELD_NUMBER: _ClassVar[int]
    DEVICE_ID_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    CLIENT_VERSION_FIELD_NUMBER: _ClassVar[int]
    bundle: str
    contract_digest: bytes
    modes: _containers.RepeatedScalarFieldContainer[Mode]
    device_id: str
    session: bytes
    client_version: str
    def __init__(self, bundle: _Optional[str] = ..., contract_digest: _Optional[bytes] = ..., modes: _Optional[_Iterable[_Union[Mode, str]]] = ..., device_id: _Optional[str] = ..., session: _Optional[bytes] = ..., client_version: _Optional[str] = ...) -> None: ...

class Opened(_message.Message):
    __slots__ = ("session", "resumed", "modes", "allowed", "limits", "server_version", "references", "takes_pictures")
    SESSION_FIELD_NUMBER: _ClassVar[int]
    RESUMED_FIELD_NUMBER: _ClassVar[int]
    MODES_FIELD_NUMBER: _ClassVar[int]
    ALLOWED_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    SERVER_VERSION_FIELD_NUMBER: _ClassVar[int]
    REFERENCES_FIELD_NUMBER: _ClassVar[int]
    TAKES_PICTURES_FIELD_NUMBER: _ClassVar[int]
    session: bytes
    resumed: bool
    modes: _containers.RepeatedScalarFieldContainer[Mode]
    allowed: int
    limits: PeerLimits
    server_version: str
    references: _containers.RepeatedScalarFieldContainer[int]
    takes_pictures: bool
    def __init__(self, session: _Optional[bytes] = ..., resumed: bool = ..., modes: _Optional[_Iterable[_Union[Mode, str]]] = ..., allowed: _Optional[int] = ..., limits: _Optional[_Union[PeerLimits, _Mapping]] = ..., server_version: _Optional[str] = ..., references: _Optional[_Iterable[int]] = ..., takes_pictures: bool = ...) -> None: ...

class Picture(_message.Message):
    __slots__ = ("format", "data")
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    format: str
    data: bytes
    def __init__(self, format: _Optional[str] = ..., data: _Optional[bytes] = ...) -> None: ...

class Capture(_message.Message):
    __slots__ = ("sequence", "reference", "deadline_us", "point", "codes", "picture", "traceparent")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_US_FIELD_NUMBER: _ClassVar[int]
    POINT_FIELD_NUMBER: _ClassVar[int]
    CODES_FIELD_NUMBER: _ClassVar[int]
    PICTURE_FIELD_NUMBER: _ClassVar[int]
    TRACEPARENT_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    reference: int
    deadline_us: int
    point: int
    codes: bytes
    picture: Picture
    traceparent: str
    def __init__(self, sequence: _Optional[int] = ..., reference: _Optional[int] = ..., deadline_us: _Optional[int] = ..., point: _Optional[int] = ..., codes: _Optional[bytes] = ..., picture: _Optional[_Union[Picture, _Mapping]] = ..., traceparent: _Optional[str] = ...) -> None: ...

class Answer(_message.Message):
    __slots__ = ("sequence", "status", "message", "outputs", "times", "decoded", "allowed", "retry_after_ms")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    TIMES_FIELD_NUMBER: _ClassVar[int]
    DECODED_FIELD_NUMBER: _ClassVar[int]
    ALLOWED_FIELD_NUMBER: _ClassVar[int]
    RETRY_AFTER_MS_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    status: Status
    message: str
    outputs: _containers.RepeatedCompositeFieldContainer[Tensor]
    times: ServerTimes
    decoded: bool
    allowed: int
    retry_after_ms: int
    def __init__(self, sequence: _Optional[int] = ..., status: _Optional[_Union[Status, str]] = ..., message: _Optional[str] = ..., outputs: _Optional[_Iterable[_Union[Tensor, _Mapping]]] = ..., times: _Optional[_Union[ServerTimes, _Mapping]] = ..., decoded: bool = ..., allowed: _Optional[int] = ..., retry_after_ms: _Optional[int] = ...) -> None: ...

class Credit(_message.Message):
    __slots__ = ("allowed",)
    ALLOWED_FIELD_NUMBER: _ClassVar[int]
    allowed: int
    def __init__(self, allowed: _Optional[int] = ...) -> None: ...

class Close(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class FetchEvidence(_message.Message):
    __slots__ = ("request", "sequence")
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    request: int
    sequence: int
    def __init__(self, request: _Optional[int] = ..., sequence: _Optional[int] = ...) -> None: ...

class Evidence(_message.Message):
    __slots__ = ("request", "picture", "message")
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    PICTURE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    request: int
    picture: Picture
    message: str
    def __init__(self, request: _Optional[int] = ..., picture: _Optional[_Union[Picture, _Mapping]] = ..., message: _Optional[str] = ...) -> None: ...

class FetchFrameRequest(_message.Message):
    __slots__ = ("device_id", "session", "sequence", "purpose")
    DEVICE_ID_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    PURPOSE_FIELD_NUMBER: _ClassVar[int]
    device_id: str
    session: bytes
    sequence: int
    purpose: str
    def __init__(self, device_id: _Optional[str] = ..., session: _Optional[bytes] = ..., sequence: _Optional[int] = ..., purpose: _Optional[str] = ...) -> None: ...

class FetchFrameReply(_message.Message):
    __slots__ = ("picture", "sequence")
    PICTURE_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    picture: Picture
    sequence: int
    def __init__(self, picture: _Optional[_Union[Picture, _Mapping]] = ..., sequence: _Optional[int] = ...) -> None: ...

class FetchBundleRequest(_message.Message):
    __slots__ = ("bundle", "version", "offset", "archive_digest", "look_only")
    BUNDLE_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    ARCHIVE_DIGEST_FIELD_NUMBER: _ClassVar[int]
    LOOK_ONLY_FIELD_NUMBER: _ClassVar[int]
    bundle: str
    version: str
    offset: int
    archive_digest: bytes
    look_only: bool
    def __init__(self, bundle: _Optional[str] = ..., version: _Optional[str] = ..., offset: _Optional[int] = ..., archive_digest: _Optional[bytes] = ..., look_only: bool = ...) -> None: ...

class BundleChunk(_message.Message):
    __slots__ = ("archive_bytes", "archive_digest", "offset", "data", "manifest_digest", "bundle", "version")
    ARCHIVE_BYTES_FIELD_NUMBER: _ClassVar[int]
    ARCHIVE_DIGEST_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    MANIFEST_DIGEST_FIELD_NUMBER: _ClassVar[int]
    BUNDLE_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    archive_bytes: int
    archive_digest: bytes
    offset: int
    data: bytes
    manifest_digest: bytes
    bundle: str
    version: str
    def __init__(self, archive_bytes: _Optional[int] = ..., archive_digest: _Optional[bytes] = ..., offset: _Optional[int] = ..., data: _Optional[bytes] = ..., manifest_digest: _Optional[bytes] = ..., bundle: _Optional[str] = ..., version: _Optional[str] = ...) -> None: ...

class Step(_message.Message):
    __slots__ = ("open", "rows", "cancel", "close")
    OPEN_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    CANCEL_FIELD_NUMBER: _ClassVar[int]
    CLOSE_FIELD_NUMBER: _ClassVar[int]
    open: GenerateOpen
    rows: Rows
    cancel: Cancel
    close: Close
    def __init__(self, open: _Optional[_Union[GenerateOpen, _Mapping]] = ..., rows: _Optional[_Union[Rows, _Mapping]] = ..., cancel: _Optional[_Union[Cancel, _Mapping]] = ..., close: _Optional[_Union[Close, _Mapping]] = ...) -> None: ...

class StepReply(_message.Message):
    __slots__ = ("opened", "tokens", "credit", "drain", "error")
    OPENED_FIELD_NUMBER: _ClassVar[int]
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    CREDIT_FIELD_NUMBER: _ClassVar[int]
    DRAIN_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    opened: GenerateOpened
    tokens: Tokens
    credit: Credit
    drain: Drain
    error: Error
    def __init__(self, opened: _Optional[_Union[GenerateOpened, _Mapping]] = ..., tokens: _Optional[_Union[Tokens, _Mapping]] = ..., credit: _Optional[_Union[Credit, _Mapping]] = ..., drain: _Optional[_Union[Drain, _Mapping]] = ..., error: _Optional[_Union[Error, _Mapping]] = ...) -> None: ...

class Sampling(_message.Message):
    __slots__ = ("temperature", "top_k", "top_p", "min_p", "repetition_penalty", "seed", "logprobs")
    TEMPERATURE_FIELD_NUMBER: _ClassVar[int]
    TOP_K_FIELD_NUMBER: _ClassVar[int]
    TOP_P_FIELD_NUMBER: _ClassVar[int]
    MIN_P_FIELD_NUMBER: _ClassVar[int]
    REPETITION_PENALTY_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    LOGPROBS_FIELD_NUMBER: _ClassVar[int]
    temperature: float
    top_k: int
    top_p: float
    min_p: float
    repetition_penalty: float
    seed: int
    logprobs: int
    def __init__(self, temperature: _Optional[float] = ..., top_k: _Optional[int] = ..., top_p: _Optional[float] = ..., min_p: _Optional[float] = ..., repetition_penalty: _Optional[float] = ..., seed: _Optional[int] = ..., logprobs: _Optional[int] = ...) -> None: ...

class GenerateOpen(_message.Message):
    __slots__ = ("bundle", "contract_digest", "modes", "device_id", "session", "client_version", "sampling", "layout", "positions_expected")
    BUNDLE_FIELD_NUMBER: _ClassVar[int]
    CONTRACT_DIGEST_FIELD_NUMBER: _ClassVar[int]
    MODES_FIELD_NUMBER: _ClassVar[int]
    DEVICE_ID_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    CLIENT_VERSION_FIELD_NUMBER: _ClassVar[int]
    SAMPLING_FIELD_NUMBER: _ClassVar[int]
    LAYOUT_FIELD_NUMBER: _ClassVar[int]
    POSITIONS_EXPECTED_FIELD_NUMBER: _ClassVar[int]
    bundle: str
    contract_digest: bytes
    modes: _containers.RepeatedScalarFieldContainer[Mode]
    device_id: str
    session: bytes
    client_version: str
    sampling: Sampling
    layout: str
    positions_expected: int
    def __init__(self, bundle: _Optional[str] = ..., contract_digest: _Optional[bytes] = ..., modes: _Optional[_Iterable[_Union[Mode, str]]] = ..., device_id: _Optional[str] = ..., session: _Optional[bytes] = ..., client_version: _Optional[str] = ..., sampling: _Optional[_Union[Sampling, _Mapping]] = ..., layout: _Optional[str] = ..., positions_expected: _Optional[int] = ...) -> None: ...

class GenerateOpened(_message.Message):
    __slots__ = ("session", "resumed", "modes", "allowed", "positions_held", "positions_max", "lease_s", "server_version", "limits")
    SESSION_FIELD_NUMBER: _ClassVar[int]
    RESUMED_FIELD_NUMBER: _ClassVar[int]
    MODES_FIELD_NUMBER: _ClassVar[int]
    ALLOWED_FIELD_NUMBER: _ClassVar[int]
    POSITIONS_HELD_FIELD_NUMBER: _ClassVar[int]
    POSITIONS_MAX_FIELD_NUMBER: _ClassVar[int]
    LEASE_S_FIELD_NUMBER: _ClassVar[int]
    SERVER_VERSION_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    session: bytes
    resumed: bool
    modes: _containers.RepeatedScalarFieldContainer[Mode]
    allowed: int
    positions_held: int
    positions_max: int
    lease_s: int
    server_version: str
    limits: PeerLimits
    def __init__(self, session: _Optional[bytes] = ..., resumed: bool = ..., modes: _Optional[_Iterable[_Union[Mode, str]]] = ..., allowed: _Optional[int] = ..., positions_held: _Optional[int] = ..., positions_max: _Optional[int] = ..., lease_s: _Optional[int] = ..., server_version: _Optional[str] = ..., limits: _Optional[_Union[PeerLimits, _Mapping]] = ...) -> None: ...

class Rows(_message.Message):
    __slots__ = ("sequence", "pos", "count", "hidden", "token_ids", "draft", "sample", "deadline_us", "sampling", "answer")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    POS_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    HIDDEN_FIELD_NUMBER: _ClassVar[int]
    TOKEN_IDS_FIELD_NUMBER: _ClassVar[int]
    DRAFT_FIELD_NUMBER: _ClassVar[int]
    SAMPLE_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_US_FIELD_NUMBER: _ClassVar[int]
    SAMPLING_FIELD_NUMBER: _ClassVar[int]
    ANSWER_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    pos: int
    count: int
    hidden: bytes
    token_ids: TokenIds
    draft: _containers.RepeatedScalarFieldContainer[int]
    sample: bool
    deadline_us: int
    sampling: Sampling
    answer: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, sequence: _Optional[int] = ..., pos: _Optional[int] = ..., count: _Optional[int] = ..., hidden: _Optional[bytes] = ..., token_ids: _Optional[_Union[TokenIds, _Mapping]] = ..., draft: _Optional[_Iterable[int]] = ..., sample: bool = ..., deadline_us: _Optional[int] = ..., sampling: _Optional[_Union[Sampling, _Mapping]] = ..., answer: _Optional[_Iterable[int]] = ...) -> None: ...

class TokenIds(_message.Message):
    __slots__ = ("ids",)
    IDS_FIELD_NUMBER: _ClassVar[int]
    ids: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, ids: _Optional[_Iterable[int]] = ...) -> None: ...

class TokenLogprob(_message.Message):
    __slots__ = ("id", "logprob")
    ID_FIELD_NUMBER: _ClassVar[int]
    LOGPROB_FIELD_NUMBER: _ClassVar[int]
    id: int
    logprob: float
    def __init__(self, id: _Optional[int] = ..., logprob: _Optional[float] = ...) -> None: ...

class TokenDetail(_message.Message):
    __slots__ = ("most_likely", "logprob")
    MOST_LIKELY_FIELD_NUMBER: _ClassVar[int]
    LOGPROB_FIELD_NUMBER: _ClassVar[int]
    most_likely: _containers.RepeatedCompositeFieldContainer[TokenLogprob]
    logprob: float
    def __init__(self, most_likely: _Optional[_Iterable[_Union[TokenLogprob, _Mapping]]] = ..., logprob: _Optional[float] = ...) -> None: ...

class Tokens(_message.Message):
    __slots__ = ("sequence", "pos", "ids", "accepted", "details", "hidden", "times", "allowed", "status", "message")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    POS_FIELD_NUMBER: _ClassVar[int]
    IDS_FIELD_NUMBER: _ClassVar[int]
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    DETAILS_FIELD_NUMBER: _ClassVar[int]
    HIDDEN_FIELD_NUMBER: _ClassVar[int]
    TIMES_FIELD_NUMBER: _ClassVar[int]
    ALLOWED_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    pos: int
    ids: _containers.RepeatedScalarFieldContainer[int]
    accepted: int
    details: _containers.RepeatedCompositeFieldContainer[TokenDetail]
    hidden: bytes
    times: ServerTimes
    allowed: int
    status: Status
    message: str
    def __init__(self, sequence: _Optional[int] = ..., pos: _Optional[int] = ..., ids: _Optional[_Iterable[int]] = ..., accepted: _Optional[int] = ..., details: _Optional[_Iterable[_Union[TokenDetail, _Mapping]]] = ..., hidden: _Optional[bytes] = ..., times: _Optional[_Union[ServerTimes, _Mapping]] = ..., allowed: _Optional[int] = ..., status: _Optional[_Union[Status, str]] = ..., message: _Optional[str] = ...) -> None: ...

class Cancel(_message.Message):
    __slots__ = ("sequence",)
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    def __init__(self, sequence: _Optional[int] = ...) -> None: ...
