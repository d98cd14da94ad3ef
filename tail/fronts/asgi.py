"""A page of an application without a connection: one process shows what another one has."""

import json
from typing import Any

from starlette.applications import Starlette
from starlette.responses import Response


async def get(pages: Starlette, path: str) -> bytes:
    """The page at a path, packed for `response`: a line of JSON with status and headers, then the body."""
    status, body = 500, b""
    headers: list[tuple[bytes, bytes]] = []
    asked = False

    async def receive() -> dict[str, Any]:
        nonlocal asked
        if asked:
            return {"type": "http.disconnect"}
        asked = True
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:  # noqa: ANN401 - as ASGI has it
        nonlocal status, headers, body
        if message["type"] == "http.response.start":
            status, headers = message["status"], message["headers"]
        elif message["type"] == "http.response.body":
            body += message.get("body", b"")

    scope: dict[str, Any] = {
        "type": "http",
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": [],
        "client": None,
        "server": None,
    }
    await pages(scope, receive, send)
    head = {"status": status, "headers": {name.decode("latin-1"): value.decode("latin-1") for name, value in headers}}
    return json.dumps(head).encode() + b"\n" + body


def response(packed: bytes) -> Response:
    """What `get` packed."""
    head, _, body = packed.partition(b"\n")
    told = json.loads(head)
    headers = {name: value for name, value in told["headers"].items() if name != "content-length"}
    return Response(body, status_code=told["status"], headers=headers)
