"""The gRPC service `inference.GRPCInferenceService`, one method each.

A request that is wrong ends its call with INVALID_ARGUMENT, or is one `error_message` on a stream; what is not served is
NOT_FOUND; a full queue is RESOURCE_EXHAUSTED with a time to come back in the trailing metadata.
"""

import asyncio
import contextlib
import functools
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, NoReturn, TypeVar

import grpc
import structlog
from google.protobuf.message import Message

from isthmus import __version__
from isthmus.contract.generated import open_inference_pb2 as wire
from isthmus.contract.generated import open_inference_pb2_grpc
from isthmus.contract.overload import retry_metadata
from isthmus.errors import IsthmusError, Overloaded, TailUnavailable
from isthmus.tail.admission.clients import Clients
from isthmus.tail.catalog import Catalog
from isthmus.tail.inference import models, shelf
from isthmus.tail.inference.answering import Answering, Caller
from isthmus.tail.inference.stream import InferenceStream
from isthmus.tail.repository.repository import Repository
from isthmus.tail.security import identity
from isthmus.tail.settings import ServerSettings
from isthmus.tail.watching.metrics import Metrics, refusal

SERVICE_NAME = "inference.GRPCInferenceService"
EXTENSIONS = ("model_configuration", "model_repository")
"""Of Triton's, those that are whole here."""
STATUS_ASKED = ("triton_grpc_error", "true")
"""Metadata of a client that wants a wrong request to end its stream with a gRPC status."""
_FULL_RETRY_MS = 100

Request = TypeVar("Request", bound=Message)
Response = TypeVar("Response")
Method = Callable[["InferenceService", Request, Any], Awaitable[Response]]

_log = structlog.get_logger(__name__)


def _told(method: "Method[Request, Response]") -> "Method[Request, Response]":
    """Count a call beside the inferences, and end it with the status of what it raises."""

    @functools.wraps(method)
    async def call(service: "InferenceService", request: Request, context: Any) -> Response:  # noqa: ANN401
        try:
            service._clients.find(identity.current()).admit(request.ByteSize())
            answer = await method(service, request, context)
        except IsthmusError as error:
            service._metrics.requested(method.__name__, grpc.StatusCode[error.grpc_status])
            await service._refuse(context, error)
        service._metrics.requested(method.__name__, grpc.StatusCode.OK)
        return answer

    return call


class InferenceService(open_inference_pb2_grpc.GRPCInferenceServiceServicer):
    """Serves what the catalogue holds, and lets clients change what that is.

    Args:
        catalog: what is served.
        repository: loads and unloads.
        settings: limits.
        metrics: counts requests.
        clients: who may ask how much.
        ready: whether the server takes requests.
        clock: seconds, monotonic; the batchers' clock.
    """

    def __init__(
        self,
        catalog: Catalog,
        repository: Repository,
        settings: ServerSettings,
        metrics: Metrics,
        clients: Clients,
        *,
        ready: Callable[[], bool],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._catalog = catalog
        self._repository = repository
        self._settings = settings
        self._metrics = metrics
        self._clients = clients
        self._ready = ready
        self._clock = clock
        self._answering = Answering(settings, clock)
        self._calls = 0
        self._streams: set[InferenceStream] = set()
        self._idle = asyncio.Event()
        self._idle.set()
        self._draining = False

    async def drain(self, grace_s: float) -> None:
        """Take no more requests, and wait until those that came are answered or the grace is over."""
        self._draining = True
        for stream in self._streams:
            stream.finish()
        try:
            async with asyncio.timeout(grace_s):
                await self._idle.wait()
        except TimeoutError:
            _log.warning("requests are cut off", requests=self._calls, grace_s=grace_s)

    async def ServerLive(self, _request: wire.ServerLiveRequest, _context: Any) -> wire.ServerLiveResponse:  # noqa: ANN401, N802
        """Whether there is somebody."""
        return wire.ServerLiveResponse(live=True)

    async def ServerReady(self, _request: wire.ServerReadyRequest, _context: Any) -> wire.ServerReadyResponse:  # noqa: ANN401, N802
        """Whether requests are taken."""
        return wire.ServerReadyResponse(ready=self._ready())

    async def ModelReady(self, request: wire.ModelReadyRequest, _context: Any) -> wire.ModelReadyResponse:  # noqa: ANN401, N802
        """Whether a model takes requests; a model that does not exist is not ready."""
        with contextlib.suppress(IsthmusError):
            models.find(self._catalog, request.name, request.version)
            return wire.ModelReadyResponse(ready=not self._draining)
        return wire.ModelReadyResponse(ready=False)

    async def ServerMetadata(self, _request: wire.ServerMetadataRequest, _context: Any) -> wire.ServerMetadataResponse:  # noqa: ANN401, N802
        """Who serves."""
        return wire.ServerMetadataResponse(name="isthmus", version=__version__, extensions=EXTENSIONS)

    @_told
    async def ModelMetadata(self, request: wire.ModelMetadataRequest, _context: Any) -> wire.ModelMetadataResponse:  # noqa: ANN401, N802
        """What goes into a model and comes out."""
        model = models.find(self._catalog, request.name, request.version)
        return models.metadata(model, [served.version for served in self._catalog if served.name == model.served.name])

    @_told
    async def ModelConfig(self, request: wire.ModelConfigRequest, _context: Any) -> wire.ModelConfigResponse:  # noqa: ANN401, N802
        """The same in Triton's terms."""
        return models.config(models.find(self._catalog, request.name, request.version), self._settings.rows_max)

    async def ModelInfer(self, request: wire.ModelInferRequest, context: Any) -> wire.ModelInferResponse:  # noqa: ANN401, N802
        """Answer one request."""
        try:
            with self._call():
                return await self._answer(request, "ModelInfer", remaining_s=context.time_remaining())
        except IsthmusError as error:
            await self._refuse(context, error)

    async def ModelStreamInfer(self, _requests: object, context: Any) -> None:  # noqa: ANN401, N802
        """Answer requests as they come, in their order."""
        ends_on_error = STATUS_ASKED in tuple(context.invocation_metadata() or ())

        async def answer(request: wire.ModelInferRequest) -> wire.ModelStreamInferResponse:
            try:
                response = await self._answer(request, "ModelStreamInfer", remaining_s=context.time_remaining(), stream=stream)
            except IsthmusError as error:
                if ends_on_error:
                    raise
                said = f"{error.grpc_status}: {error}"
                return wire.ModelStreamInferResponse(
                    error_message=said, infer_response=wire.ModelInferResponse(id=request.id[: self._settings.limits.text_bytes])
                )
            # There is one response for each request; Triton's clients ask every response whether it is the last of its request.
            response.parameters["triton_final_response"].bool_param = True
            return wire.ModelStreamInferResponse(infer_response=response)

        stream = InferenceStream(answer, window=self._settings.limits.captures_in_flight, end_marker=grpc.aio.EOF)
        try:
            with self._call():
                self._streams.add(stream)
                try:
                    await stream.serve(context.read, context.write)
                finally:
                    self._streams.discard(stream)
            if stream.finished:
                self._check_room()
        except IsthmusError as error:
            await self._refuse(context, error)

    @_told
    async def RepositoryIndex(self, request: wire.RepositoryIndexRequest, _context: Any) -> wire.RepositoryIndexResponse:  # noqa: ANN401, N802
        """What could be asked for, and what is."""
        return shelf.index(self._repository, self._catalog, request)

    @_told
    async def RepositoryModelLoad(  # noqa: N802
        self,
        request: wire.RepositoryModelLoadRequest,
        _context: Any,  # noqa: ANN401
    ) -> wire.RepositoryModelLoadResponse:
        """Load a bundle, its whole network with it."""
        await shelf.load(self._repository, self._catalog, request)
        return wire.RepositoryModelLoadResponse()

    @_told
    async def RepositoryModelUnload(  # noqa: N802
        self,
        request: wire.RepositoryModelUnloadRequest,
        _context: Any,  # noqa: ANN401
    ) -> wire.RepositoryModelUnloadResponse:
        """Serve a bundle no longer; requests that came are answered."""
        await shelf.unload(self._repository, self._catalog, request)
        return wire.RepositoryModelUnloadResponse()

    @contextlib.contextmanager
    def _call(self) -> Iterator[None]:
        """One inference call or stream, while there is room for it."""
        self._check_room()
        self._calls += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._calls -= 1
            if not self._calls:
                self._idle.set()

    def _check_room(self) -> None:
        if self._draining:
            raise TailUnavailable("this server is draining; use another one, or come back later")
        if self._calls >= self._settings.requests_max:
            raise Overloaded(
                f"{self._calls} requests are being answered already; try again in {_FULL_RETRY_MS} ms",
                retry_after_ms=_FULL_RETRY_MS,
            )

    async def _answer(
        self, request: wire.ModelInferRequest, method: str, *, remaining_s: float | None, stream: InferenceStream | None = None
    ) -> wire.ModelInferResponse:
        started, served, status = self._clock(), None, grpc.StatusCode.CANCELLED
        client = self._clients.find(identity.current())
        try:
            client.admit(_size_bytes(request))
            model = models.find(self._catalog, request.model_name, request.model_version)
            served = model.served
            client.in_flight += 1
            try:
                caller = Caller(client=client.name, stream=stream, remaining_s=remaining_s)
                response = await self._answering.answer(request, model, caller)
            finally:
                client.in_flight -= 1
            status = grpc.StatusCode.OK
        except IsthmusError as error:
            status = grpc.StatusCode[error.grpc_status]
            raise
        else:
            return response
        finally:
            self._metrics.requested(method, status, served=served, seconds=self._clock() - started)

    async def _refuse(self, context: Any, error: IsthmusError) -> NoReturn:  # noqa: ANN401
        """End a call with the status of an error."""
        is_draining = self._draining and isinstance(error, TailUnavailable)
        self._metrics.refused("draining" if is_draining else refusal(error), str(error), what="request")
        if isinstance(error, Overloaded):
            context.set_trailing_metadata(retry_metadata(error.retry_after_ms))
        await context.abort(grpc.StatusCode[error.grpc_status], str(error))
        raise AssertionError("abort returns never")


def _size_bytes(request: wire.ModelInferRequest) -> int:
    """What a request weighs; to count fields that are listed one by one takes as long as to write them."""
    return sum(map(len, request.raw_input_contents)) or request.ByteSize()
