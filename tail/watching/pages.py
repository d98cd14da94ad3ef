"""The pages of the metrics port: figures, health, and the live page.

The live page is one file without anything from elsewhere. What it shows comes from devices in part, so its script only ever sets
text, and the policy that goes with it lets no other script run, whatever slipped through.
"""

import base64
import hashlib
import re
from collections.abc import Callable, Mapping
from importlib import resources
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

READY = "ready"
_PAGE = (resources.files("isthmus.tail.watching") / "live.html").read_text(encoding="utf-8")
_ALWAYS = {"x-content-type-options": "nosniff", "referrer-policy": "no-referrer", "cache-control": "no-store"}


def application(
    *, metrics: Callable[[], bytes], state: Callable[[], str], snapshot: Callable[[], Mapping[str, Any]]
) -> Starlette:
    """The pages.

    Args:
        metrics: gives the figures in Prometheus' text format.
        state: `ready` while new streams are taken, else what the server does instead.
        snapshot: gives what the live page shows.
    """

    async def show_metrics(_request: Request) -> Response:
        return Response(metrics(), headers={"content-type": CONTENT_TYPE_LATEST})

    async def show_live(_request: Request) -> Response:
        return PlainTextResponse("live\n")

    async def show_ready(_request: Request) -> Response:
        return PlainTextResponse(f"{state()}\n", status_code=200 if state() == READY else 503)

    async def show_status(_request: Request) -> Response:
        return JSONResponse(snapshot(), headers=_ALWAYS)

    async def show_page(_request: Request) -> Response:
        return HTMLResponse(_PAGE, headers={**_ALWAYS, "content-security-policy": POLICY})

    return Starlette(
        routes=[
            Route("/", show_page),
            Route("/status.json", show_status),
            Route("/metrics", show_metrics),
            Route("/health/live", show_live),
            Route("/health/ready", show_ready),
        ]
    )


def _policy(page: str) -> str:
    """Content security policy that allows the page's own script and style by their digest, and requests to its own origin."""

    def allowed(element: str) -> str:
        parts = re.findall(rf"<{element}>(.*?)</{element}>", page, re.DOTALL)
        digests = [base64.b64encode(hashlib.sha256(part.encode()).digest()).decode() for part in parts]
        return " ".join(f"'sha256-{digest}'" for digest in digests)

    return (
        f"default-src 'none'; script-src {allowed('script')}; style-src {allowed('style')}; img-src data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


POLICY = _policy(_PAGE)
