"""The porter of the metrics port: the same rules for pages as for gRPC calls.

Health is open to everybody; every other page needs the scope `metrics`. A program sends its token as `Authorization: Bearer`, a
browser asks for a password and sends it as `Basic` with any user name. Tokens never stand in an address: those are logged.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from starlette.responses import PlainTextResponse

from isthmus.errors import AccessError, PermissionDenied
from isthmus.tail.security.access import Access
from isthmus.tail.security.complaints import Complaints
from isthmus.tail.security.identity import become
from isthmus.tail.security.scopes import Scope

OPEN_PATHS = ("/health/live", "/health/ready")

Scopes = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scopes, Receive, Send], Awaitable[None]]


class Porter:
    """An ASGI application before the pages.

    Args:
        pages: what is shown to those who may see it.
        access: decides who a caller is.
        complaints: tells the log of those who are refused.
    """

    def __init__(self, pages: Application, access: Access, complaints: Complaints) -> None:
        self._pages = pages
        self._access = access
        self._complaints = complaints

    async def __call__(self, scope: Scopes, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it on."""
        path, host = str(scope["path"]), (scope.get("client") or ("unknown", 0))[0]
        try:
            admission = self._access.admit(
                None if path in OPEN_PATHS else Scope.METRICS,
                host=host,
                authorization=_authorization(scope),
                certificate=scope.get("state", {}).get("certificate"),
            )
        except AccessError as error:
            self._complaints.tell("page", host, error)
            await _refusal(error)(scope, receive, send)
            return
        become(admission.identity)
        await self._pages(scope, receive, send)


def _authorization(scope: Scopes) -> str | None:
    for name, value in scope["headers"]:
        if name == b"authorization":
            return str(value.decode("latin-1"))
    return None


def _refusal(error: AccessError) -> PlainTextResponse:
    if isinstance(error, PermissionDenied):
        return PlainTextResponse(f"{error}\n", status_code=403)
    # A browser takes the first kind that it knows, and only Basic makes it ask.
    asks = {"www-authenticate": 'Basic realm="isthmus: a token as the password", charset="UTF-8"'}
    return PlainTextResponse(f"{error}\n", status_code=401, headers=asks)
