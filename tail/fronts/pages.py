"""The metrics port of a server of several processes: figures added up, health of all, and the live page of each."""

import html
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from isthmus.errors import TailUnavailable
from isthmus.tail.fronts import asgi
from isthmus.tail.fronts.merging import merged

Ask = Callable[[int, str], Awaitable[bytes]]
"""The page of a front process at a path, as `asgi.get` packs it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Of one front process."""

    number: int
    pid: int | None
    state: str
    restarts: int


def application(*, ask: Ask, fronts: Callable[[], Sequence[Facts]], ready: Callable[[], bool]) -> Starlette:
    """The pages.

    Args:
        ask: gets a page of a front process; raises TailUnavailable where it is down.
        fronts: tells how they are.
        ready: whether all of them take streams.
    """

    async def show_metrics(_request: Request) -> Response:
        texts = []
        for front in fronts():
            try:
                texts.append(bytes(asgi.response(await ask(front.number, "/metrics")).body).decode())
            except TailUnavailable:
                continue  # what is down counts nothing
        return Response(merged(texts), headers={"content-type": CONTENT_TYPE_LATEST})

    async def show_live(_request: Request) -> Response:
        return PlainTextResponse("live\n")

    async def show_ready(_request: Request) -> Response:
        return PlainTextResponse("ready\n") if ready() else PlainTextResponse("not ready\n", status_code=503)

    async def show_all(_request: Request) -> Response:
        return HTMLResponse(_page(fronts()), headers={"content-security-policy": "default-src 'none'; style-src 'unsafe-inline'"})

    async def show_status(_request: Request) -> Response:
        rows = [{"front": one.number, "pid": one.pid, "state": one.state, "restarts": one.restarts} for one in fronts()]
        return JSONResponse({"state": "ready" if ready() else "not ready", "fronts": rows})

    async def show_front(request: Request) -> Response:
        number, path = request.path_params["number"], request.path_params["path"]
        if number not in {front.number for front in fronts()}:
            return PlainTextResponse("no such front process\n", status_code=404)
        try:
            return asgi.response(await ask(number, f"/{path}"))
        except TailUnavailable as error:
            return PlainTextResponse(f"{error}\n", status_code=503)

    async def with_slash(request: Request) -> Response:
        return RedirectResponse(f"/fronts/{request.path_params['number']}/")

    return Starlette(
        routes=[
            Route("/", show_all),
            Route("/status.json", show_status),
            Route("/metrics", show_metrics),
            Route("/health/live", show_live),
            Route("/health/ready", show_ready),
            Route("/fronts/{number:int}", with_slash),
            Route("/fronts/{number:int}/{path:path}", show_front),
        ]
    )


def _page(fronts: Sequence[Facts]) -> str:
    rows = "".join(
        f'<tr><td><a href="fronts/{front.number}/">front {front.number}</a></td><td>{html.escape(front.state)}</td>'
        f"<td>{front.pid or '-'}</td><td>{front.restarts}</td></tr>"
        for front in fronts
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        '<meta http-equiv="refresh" content="5"><title>Isthmus tail</title><style>:root{color-scheme:light dark}'
        "body{font:16px system-ui;margin:2rem}td,th{text-align:left;padding:.3rem 2rem .3rem 0}</style></head><body>"
        "<h1>Isthmus tail</h1><p>Several processes serve one port; each has a page of its own.</p>"
        f"<table><tr><th>process</th><th>state</th><th>pid</th><th>restarts</th></tr>{rows}</table>"
        '<p><a href="metrics">Metrics</a> of all together · <a href="health/ready">Health</a></p></body></html>'
    )
