"""The doorkeeper of the gRPC port: finds out who calls, asks whether they may, and lets the handler know.

A wrong token is refused before the message of the call is read, so strangers cannot make the server hold or parse megabytes.
Streams last for days: those whose token or certificate counts no more are ended by `sweep`. Handlers keep their kind: an async
generator is wrapped in one, a coroutine in one.
"""

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, NoReturn

import grpc

from isthmus.errors import AccessError
from isthmus.tail.security.access import Access, Admission
from isthmus.tail.security.complaints import Complaints
from isthmus.tail.security.identity import become, host_of
from isthmus.tail.security.scopes import needed

SWEEP_S = 1.0
"""How long a stream may outlive its token; a look at all streams costs microseconds each."""

Handler = Any
"""grpc's RpcMethodHandler, which has no types."""

_BEHAVIOURS = ("unary_unary", "unary_stream", "stream_unary", "stream_stream")


class Doorkeeper(grpc.aio.ServerInterceptor):  # type: ignore[misc]
    """Stands before every handler of a server.

    Args:
        access: decides who a caller is.
        complaints: tells the log of those who are refused.
    """

    def __init__(self, access: Access, complaints: Complaints) -> None:
        self._access = access
        self._complaints = complaints
        self._wrapped: dict[str, tuple[Handler, Handler]] = {}
        self._inside: dict[asyncio.Task[Any], Admission] = {}
        self._turned_out: dict[asyncio.Task[Any], AccessError] = {}

    async def intercept_service(self, continuation: Callable[[Any], Awaitable[Handler]], details: Any) -> Handler:  # noqa: ANN401
        """The handler of a call behind the check, or one that refuses."""
        method = details.method
        handler = await continuation(details)
        if handler is None:
            return None
        if self._access.asks_tokens:
            try:
                self._access.check_token(needed(method), _authorization(details.invocation_metadata))
            except AccessError as error:
                return self._refusing(error, method)
        known = self._wrapped.get(method)
        if known is None or known[0] is not handler:
            known = self._wrapped[method] = (handler, self._wrap(method, handler))
        return known[1]

    def sweep(self) -> None:
        """End the streams of those who may not be here any more."""
        for task, admission in list(self._inside.items()):
            try:
                admission.check_again()
            except AccessError as error:
                self._turned_out[task] = error
                task.cancel()

    async def keep_sweeping(self) -> None:
        """Sweep now and then, for ever."""
        while True:
            await asyncio.sleep(SWEEP_S)
            self.sweep()

    def _wrap(self, method: str, handler: Handler) -> Handler:
        (kind,) = (name for name in _BEHAVIOURS if getattr(handler, name) is not None)
        behaviour = getattr(handler, kind)
        if inspect.isasyncgenfunction(behaviour):
            around = self._generator(method, behaviour)
        else:
            around = self._answer(method, behaviour) if kind == "unary_unary" else self._conversation(method, behaviour)
        make = getattr(grpc, f"{kind}_rpc_method_handler")
        return make(around, handler.request_deserializer, handler.response_serializer)

    def _answer(self, method: str, behaviour: Any) -> Any:  # noqa: ANN401
        async def call(request: object, context: Any) -> Any:  # noqa: ANN401
            await self._admit(method, context)
            return await behaviour(request, context)

        return call

    def _conversation(self, method: str, behaviour: Any) -> Any:  # noqa: ANN401
        async def call(request: object, context: Any) -> Any:  # noqa: ANN401
            task = self._enter(await self._admit(method, context))
            try:
                return await behaviour(request, context)
            except asyncio.CancelledError:
                await self._see_out(task, method, context)
                raise
            finally:
                self._inside.pop(task, None)

        return call

    def _generator(self, method: str, behaviour: Any) -> Any:  # noqa: ANN401
        async def call(request: object, context: Any) -> AsyncIterator[Any]:  # noqa: ANN401
            task = self._enter(await self._admit(method, context))
            try:
                async for message in behaviour(request, context):
                    yield message
            except asyncio.CancelledError:
                await self._see_out(task, method, context)
                raise
            finally:
                self._inside.pop(task, None)

        return call

    def _enter(self, admission: Admission) -> asyncio.Task[Any]:
        task = asyncio.current_task()
        assert task is not None
        self._inside[task] = admission
        return task

    async def _see_out(self, task: asyncio.Task[Any], method: str, context: Any) -> None:  # noqa: ANN401
        """Tell a caller why its stream ends, if it was the sweep that ended it."""
        error = self._turned_out.pop(task, None)
        if error is not None:
            task.uncancel()
            await self._refuse(context, error, method)

    async def _admit(self, method: str, context: Any) -> Admission:  # noqa: ANN401
        access = self._access
        try:
            # Each look costs microseconds, of which a light tail has few: only at what matters here.
            admission = access.admit(
                needed(method),
                host=host_of(context.peer()),
                authorization=_authorization(context.invocation_metadata()) if access.asks_tokens else None,
                certificate=_certificate(context) if access.asks_certificates else None,
            )
        except AccessError as error:
            await self._refuse(context, error, method)
        become(admission.identity)
        return admission

    def _refusing(self, error: AccessError, method: str) -> Handler:
        """A handler that reads nothing of a call, whatever its kind: on the wire all are streams."""

        async def call(_requests: object, context: Any) -> None:  # noqa: ANN401
            await self._refuse(context, error, method)

        return grpc.stream_stream_rpc_method_handler(call)

    async def _refuse(self, context: Any, error: AccessError, method: str) -> NoReturn:  # noqa: ANN401
        self._complaints.tell(method, context.peer(), error)
        await context.abort(grpc.StatusCode[error.grpc_status], str(error))
        raise AssertionError("abort returns never") from error


def _authorization(metadata: tuple[tuple[str, str], ...] | None) -> str | None:
    for key, value in metadata or ():
        if key == "authorization":
            return value
    return None


def _certificate(context: Any) -> bytes | None:  # noqa: ANN401
    found = context.auth_context().get("x509_pem_cert")
    return found[0] if found else None
