"""The doorkeeper of the gRPC port: finds out who calls, asks whether they may, and lets the handler know.

Handlers keep their kind: an async generator is wrapped in one, a coroutine in one.
"""

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc

from isthmus.errors import AccessError
from isthmus.tail.security.access import Access
from isthmus.tail.security.identity import Identity, become, host_of
from isthmus.tail.security.scopes import needed

Handler = Any
"""grpc's RpcMethodHandler, which has no types."""

_BEHAVIOURS = ("unary_unary", "unary_stream", "stream_unary", "stream_stream")


class Doorkeeper(grpc.aio.ServerInterceptor):  # type: ignore[misc]
    """Stands before every handler of a server.

    Args:
        access: decides who a caller is.
    """

    def __init__(self, access: Access) -> None:
        self._access = access
        self._wrapped: dict[str, tuple[Handler, Handler]] = {}

    async def intercept_service(self, continuation: Callable[[Any], Awaitable[Handler]], details: Any) -> Handler:  # noqa: ANN401
        """The handler of a call behind the check."""
        handler = await continuation(details)
        if handler is None:
            return None
        known = self._wrapped.get(details.method)
        if known is None or known[0] is not handler:
            known = self._wrapped[details.method] = (handler, self._wrap(details.method, handler))
        return known[1]

    def _wrap(self, method: str, handler: Handler) -> Handler:
        (kind,) = (name for name in _BEHAVIOURS if getattr(handler, name) is not None)
        behaviour = getattr(handler, kind)
        make = getattr(grpc, f"{kind}_rpc_method_handler")
        around = self._generator if inspect.isasyncgenfunction(behaviour) else self._coroutine
        return make(around(method, behaviour), handler.request_deserializer, handler.response_serializer)

    def _coroutine(self, method: str, behaviour: Any) -> Any:  # noqa: ANN401
        async def call(request: object, context: Any) -> Any:  # noqa: ANN401
            become(await self._admit(method, context))
            return await behaviour(request, context)

        return call

    def _generator(self, method: str, behaviour: Any) -> Any:  # noqa: ANN401
        async def call(request: object, context: Any) -> AsyncIterator[Any]:  # noqa: ANN401
            become(await self._admit(method, context))
            async for message in behaviour(request, context):
                yield message

        return call

    async def _admit(self, method: str, context: Any) -> Identity:  # noqa: ANN401
        try:
            return self._access.admit(needed(method), host=host_of(context.peer()))
        except AccessError as error:
            await context.abort(grpc.StatusCode[error.grpc_status], str(error))
            raise AssertionError("abort returns never") from error
