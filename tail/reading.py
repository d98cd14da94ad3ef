"""Requests that are no message at all: one line for the client, where gRPC would log a traceback for each.

Only calls with one request pass here; a stream sees for itself what it reads.
"""

import inspect
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
from google.protobuf.message import DecodeError

Handler = Any
"""grpc's RpcMethodHandler, which has no types."""

_UNREADABLE = object()
UNREADABLE_MESSAGE = "the request's bytes are no message of this method"


class Reader(grpc.aio.ServerInterceptor):  # type: ignore[misc]
    """Stands between the bytes of a request and its handler."""

    def __init__(self) -> None:
        self._wrapped: dict[str, tuple[Handler, Handler]] = {}

    async def intercept_service(self, continuation: Callable[[Any], Awaitable[Handler]], details: Any) -> Handler:  # noqa: ANN401
        """The handler of a call that minds what cannot be read."""
        handler = await continuation(details)
        if handler is None or not (handler.unary_unary or inspect.iscoroutinefunction(handler.unary_stream)):
            return handler
        known = self._wrapped.get(details.method)
        if known is None or known[0] is not handler:
            known = self._wrapped[details.method] = (handler, _minding(handler))
        return known[1]


def _minding(handler: Handler) -> Handler:
    behaviour = handler.unary_unary or handler.unary_stream
    make = grpc.unary_unary_rpc_method_handler if handler.unary_unary else grpc.unary_stream_rpc_method_handler

    def read(data: bytes) -> object:
        try:
            return handler.request_deserializer(data)
        except DecodeError:
            return _UNREADABLE

    async def call(request: object, context: Any) -> object:  # noqa: ANN401
        if request is _UNREADABLE:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, UNREADABLE_MESSAGE)
        return await behaviour(request, context)

    return make(call, read, handler.response_serializer)
